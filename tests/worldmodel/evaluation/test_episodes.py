"""The protocol: fixed budget, judged at rest, nothing leaked, intervals as Wilson has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from worldmodel.agents.policies import planning_agent
from worldmodel.agents.task import TaskConfig
from worldmodel.agents.world import look_at
from worldmodel.evaluation.controllers import RandomPolicy
from worldmodel.evaluation.episodes import SEED_OFFSET, environments, run_episodes
from worldmodel.evaluation.intervals import mcnemar, paired_summary, success_summary, wilson
from worldmodel.planners import CEMConfig

PLANNER = CEMConfig(samples=8, iterations=2, horizon=4, elites=3, proposals=2)
TASK = TaskConfig(name="push", budget_steps=5, hold_steps=2, energy="value", prior=True)


class Scripted:
    """Plays a list of moves along x, the same for every episode."""

    records = ()

    def __init__(self, moves):
        self.moves = moves

    def reset(self, goal_frames, *, seed=0):
        self.goals, self.step = goal_frames, 0

    def act(self, frames, states):
        action = torch.zeros(len(frames), 7)
        action[:, 0] = self.moves[self.step]
        self.step += 1
        return action


def test_actions_last_for_the_budget_and_rest_follows(point_env):
    env = point_env()
    list(run_episodes(Scripted([0.01] * 5), [env], [0], TASK))
    assert [round(float(action[0]), 2) for action in env.actions] == [0.01] * 5 + [0.0] * 2


def test_steps_wait_for_the_pulse_and_those_that_begin_late_are_counted(point_env):
    class Told:
        def ticks(self, count):
            return [False, True, True, False, False][:count]

    (episode,) = run_episodes(Scripted([0.01] * 5), [point_env()], [0], TASK, timer=Told())
    assert (episode.late, episode.slots) == (2, None)


def test_success_is_judged_in_the_end_and_not_on_the_way(point_env):
    through = Scripted([-0.1, -0.1, -0.1, -0.1, 0.0])
    (episode,) = run_episodes(through, [point_env(0.2)], [0], TASK)
    assert (episode.success, episode.success_any) == (False, True)
    assert episode.distance_start == pytest.approx(0.2)
    assert episode.distance_final == pytest.approx(0.2)
    (episode,) = run_episodes(Scripted([-0.1, -0.1, 0, 0, 0]), [point_env(0.2)], [0], TASK)
    assert (episode.success, episode.success_any) == (True, True)
    assert episode.steps == TASK.budget_steps


def test_a_start_at_the_goal_is_no_success_on_the_way(point_env):
    (episode,) = run_episodes(Scripted([0.1, 0, 0, 0, 0]), [point_env(0.0)], [0], TASK)
    assert not episode.success_any


def test_evaluation_seeds_are_apart_from_those_of_collection(point_env):
    one, other = point_env(), point_env()
    episodes = list(run_episodes(Scripted([0.0] * 5), [one, other], [3, 4, 5], TASK))
    assert [episode.seed for episode in episodes] == [SEED_OFFSET + seed for seed in (3, 4, 5)]
    assert one.seeds == [SEED_OFFSET + 3, SEED_OFFSET + 5]
    assert other.seeds == [SEED_OFFSET + 4]


def test_subgoals_are_shown_only_to_staged_tasks(point_env):
    policy = Scripted([0.0] * 5)
    list(run_episodes(policy, [point_env()], [0], TASK))
    assert policy.goals.shape == (1, 64, 64, 3)
    list(run_episodes(policy, [point_env()], [0], replace(TASK, stage_steps=(2,))))
    assert policy.goals.shape == (1, 1, 64, 64, 3)


def test_a_users_goal_image_is_what_the_policy_gets_and_leaves_success_unknown(point_env):
    policy, goal = Scripted([-0.1, -0.1, 0, 0, 0]), torch.full((1, 64, 64, 3), 7, dtype=torch.uint8)
    (episode,) = run_episodes(policy, [point_env()], [0], TASK, goals=goal)
    assert bool((policy.goals == 7).all())
    assert np.array_equal(episode.goal, goal[0])
    assert episode.success is None
    assert episode.distance_final is None
    assert success_summary([episode]) is None


def test_films_are_kept_for_the_first_episodes_only(point_env):
    envs = [point_env(), point_env()]
    episodes = list(run_episodes(Scripted([0.0] * 5), envs, range(3), TASK, keep_frames=1))
    assert [episode.frames is None for episode in episodes] == [False, True, True]
    assert episodes[0].frames.shape == (1 + 5 + 2, 64, 64, 3)


def test_success_never_reaches_the_planner(point_env, tiny_world, arm_bounds):
    """An agent decides the same whatever success, distance and reward say."""
    rng = np.random.default_rng(0)

    class Lying(point_env):
        def info(self):
            return {"success": rng.random() < 0.5, "distance": rng.random()}

        def step(self, action):
            observation, _, _, _, info = super().step(action)
            return observation, rng.random(), False, False, info

    honest, lying = point_env(), Lying()
    for env in (honest, lying):
        agent = planning_agent(tiny_world, TASK, PLANNER, arm_bounds)
        list(run_episodes(agent, [env], [0, 1], TASK))
    assert len(honest.actions) == 14
    assert np.abs(honest.actions).max() > 0
    np.testing.assert_array_equal(honest.actions, lying.actions)


def test_what_is_planned_does_not_depend_on_how_many_episodes_run_at_once(tiny_world, arm_bounds):
    """In the real simulator, whose images the agent sees."""
    task = replace(TASK, budget_steps=3, hold_steps=0)
    energies = []
    for batch in (1, 2):
        with environments("push", batch, look_at(tiny_world)) as made:
            agent = planning_agent(tiny_world, task, PLANNER, arm_bounds)
            energies.append([e.energy for e in run_episodes(agent, made, [0, 1], task)])
    np.testing.assert_allclose(*energies, rtol=1e-3)  # a batch rounds otherwise
    assert energies[0][0] != energies[0][1]


def test_the_warm_up_plan_is_neither_counted_nor_remembered(tiny_world, point_env, arm_bounds):
    agent = planning_agent(tiny_world, TASK, PLANNER, arm_bounds)
    first, second = run_episodes(agent, [point_env()], [0, 1], TASK)
    assert first.plan_steps == (0, 2, 4)
    assert len(first.plan_ms) == 3
    assert first.energy == second.energy


def test_wilson_agrees_with_published_values():
    """Newcombe 1998, table I, method 3."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert wilson(20, 20)[1] == 1.0


def test_a_summary_counts_the_end_and_the_way_apart(point_env):
    through, there = Scripted([-0.1] * 4 + [0.0]), Scripted([-0.1, -0.1, 0, 0, 0])
    episodes = [
        *run_episodes(through, [point_env()], [0], TASK),
        *run_episodes(there, [point_env()], [0, 1, 2], TASK),
    ]
    summary = success_summary(episodes)
    assert summary["final"] == {"rate": 0.75, "ci95": list(wilson(3, 4))}
    assert summary["any"]["rate"] == 1.0


def test_mcnemar_is_the_exact_binomial_test():
    assert mcnemar(5, 0) == mcnemar(0, 5) == 0.0625
    assert mcnemar(14, 4) == pytest.approx(0.030884, abs=1e-6)
    assert [mcnemar(n, n) for n in (0, 1, 7)] == [1.0] * 3
    assert mcnemar(900, 0) < 1e-250


def test_policies_are_paired_on_the_seeds_that_both_ran(point_env):
    (episode,) = run_episodes(Scripted([0.0] * 5), [point_env()], [0], TASK)

    def outcomes(solved):
        return [replace(episode, seed=seed, success=success) for seed, success in solved.items()]

    planner = outcomes({0: True, 1: True, 2: False, 3: True, 4: False, 5: True})
    baseline = outcomes({9: True, 4: True, 3: False, 1: False, 0: True})
    assert paired_summary(planner, baseline) == {"planner_only": 2, "baseline_only": 1, "p": 1.0}
    assert paired_summary(planner, planner) == {"planner_only": 0, "baseline_only": 0, "p": 1.0}


def test_a_random_policy_repeats_itself_with_its_seed(point_env, arm_bounds):
    acted = []
    for seed in (0, 0, 1):
        env = point_env()
        list(run_episodes(RandomPolicy(arm_bounds.only((0, 1)), seed), [env], [0], TASK))
        acted.append(np.array(env.actions))
    np.testing.assert_array_equal(acted[0], acted[1])
    assert not np.array_equal(acted[0], acted[2])
