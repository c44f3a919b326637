"""Agents and controls stay within bounds, and each does only what its name says."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from worldmodel.agents.objective import projected, task_energy, world_energy
from worldmodel.agents.policies import planning_agent, prior_agent
from worldmodel.agents.task import TaskConfig
from worldmodel.envs import ACTION_HIGH
from worldmodel.errors import UserError
from worldmodel.evaluation.controllers import RandomPolicy, ToGoalPose
from worldmodel.evaluation.episodes import environments, run_episodes
from worldmodel.planners import CEMConfig
from worldmodel.predictors.uncertainty import UncertaintyHeads
from worldmodel.spec import Look

PLANNER = CEMConfig(
    samples=8, iterations=2, horizon=4, elites=3, proposals=2, active_dims=(0, 1, 2)
)
TASK = TaskConfig(name="push", budget_steps=5, energy="value", prior=True)


def first_plan(agent):
    torch.manual_seed(3)
    goal, frame = torch.randint(0, 255, (2, 1, 64, 64, 3), dtype=torch.uint8)
    agent.reset(goal)
    action = agent.act(frame, torch.zeros(1, 7))
    return action, agent.records[0].plan


def test_every_term_of_the_energy_can_be_left_out(tiny_world, arm_bounds):
    _, plan = first_plan(planning_agent(tiny_world, TASK, PLANNER, arm_bounds))
    assert set(plan.breakdown) == {"goal", "world"}
    _, plan = first_plan(
        planning_agent(tiny_world, replace(TASK, world_energy=()), PLANNER, arm_bounds)
    )
    assert set(plan.breakdown) == {"goal"}


def test_only_the_doubts_that_a_task_names_are_computed(tiny_world, monkeypatch, arm_bounds):
    asked = []
    for name in ("density", "leap", "error"):
        uncertainty = getattr(UncertaintyHeads, name)
        monkeypatch.setattr(
            UncertaintyHeads,
            name,
            lambda self, path, n=name, f=uncertainty: asked.append(n) or f(self, path),
        )
    terms = ("density", "disagreement")
    first_plan(planning_agent(tiny_world, replace(TASK, world_energy=terms), PLANNER, arm_bounds))
    assert asked == ["density"] * PLANNER.iterations


def test_the_world_energy_is_the_mean_of_its_terms(tiny_world):
    latents, actions = torch.randn(1, 1, 1, 22), 0.05 * torch.randn(1, 8, 4, 7)
    imagined = tiny_world.rollout(latents, torch.zeros(1, 1, 7), actions)
    one, other = (world_energy(tiny_world, [name])(imagined) for name in ("error", "leap"))
    both = world_energy(tiny_world, ["error", "leap"])(imagined)
    assert both.max() > 0
    torch.testing.assert_close(both, (one + other) / 2)


def test_an_unknown_term_is_met_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"world_energy.0\n  Input should be one of .*density"):
        TaskConfig(name="push", world_energy=("densty",))


def test_the_goal_energy_is_the_one_of_the_task(tiny_world, arm_bounds):
    goals = {}
    for energy in ("value", "latent", "reachability"):
        task = replace(TASK, energy=energy, world_energy=(), goal_weight=2.0)
        _, plan = first_plan(planning_agent(tiny_world, task, PLANNER, arm_bounds))
        goals[energy] = float(plan.breakdown["goal"])
        assert float(plan.energy) == pytest.approx(2 * goals[energy])
    assert len(set(goals.values())) == 3


def test_metric_and_reduction_of_latent_distance_are_the_tasks(tiny_world, arm_bounds):
    task = replace(TASK, energy="proprio", prior=False, world_energy=())
    with pytest.raises(UserError, match=r"robot and objects apart.*task\.energy=latent"):
        planning_agent(Plain(tiny_world), task, PLANNER, arm_bounds)
    task = replace(TASK, energy="latent", prior=False)
    found = {
        (metric, reduce): float(
            first_plan(
                planning_agent(
                    tiny_world, replace(task, metric=metric, reduce=reduce), PLANNER, arm_bounds
                )
            )[1].breakdown["goal"]
        )
        for metric in ("l1", "l2", "cosine")
        for reduce in ("final", "sum")
    }
    assert len(set(found.values())) == 6


def test_the_prior_proposes_only_where_the_task_says_so(tiny_world, monkeypatch, arm_bounds):
    asked = []
    prior = type(tiny_world).prior
    monkeypatch.setattr(
        type(tiny_world),
        "prior",
        lambda self, *goals, **how: asked.append(1) or prior(self, *goals, **how),
    )
    first_plan(planning_agent(tiny_world, replace(TASK, prior=False), PLANNER, arm_bounds))
    assert not asked
    first_plan(planning_agent(tiny_world, TASK, PLANNER, arm_bounds))
    assert asked


def test_the_proprio_energy_counts_the_robots_part_alone(tiny_world):
    task = TaskConfig(name="reach", energy="proprio")
    width = tiny_world.predictor.config.object_width
    goal = torch.randn(1, 1, tiny_world.predictor.latent_width)
    moved = goal.repeat(2, 1, 1)
    moved[0, 0, :width] += 1.0  # objects elsewhere
    moved[1, 0, width:] += 1.0  # the robot elsewhere
    energy = task_energy(tiny_world, task)(goal)
    objects, robot = energy(SimpleNamespace(latents=moved[None, :, None]))[0]
    assert objects == 0
    assert robot > 0


class Plain:
    """A world that learned nothing of goals."""

    def __init__(self, world):
        self.image_size, self.stride = world.image_size, world.stride
        self.encode, self.project, self.rollout = world.encode, world.project, world.rollout


def test_a_world_without_a_value_plans_by_latent_distance_and_says_so(tiny_world, arm_bounds):
    with pytest.raises(UserError, match=r"task\.energy=latent task\.prior=false"):
        planning_agent(Plain(tiny_world), replace(TASK, world_energy=()), PLANNER, arm_bounds)
    task = replace(TASK, energy="reachability", prior=False, world_energy=())
    with pytest.raises(UserError, match="reachability"):
        planning_agent(Plain(tiny_world), task, PLANNER, arm_bounds)
    task = replace(TASK, energy="latent", prior=False)
    with pytest.raises(UserError, match=r"disagreement.*'task\.world_energy=\[\]'"):
        planning_agent(Plain(tiny_world), task, PLANNER, arm_bounds)
    task = replace(task, world_energy=())
    _, plan = first_plan(planning_agent(Plain(tiny_world), task, PLANNER, arm_bounds))
    assert set(plan.breakdown) == {"goal"}


def test_the_prior_alone_acts_as_the_prior_says_within_bounds(tiny_world, arm_bounds):
    agent = prior_agent(tiny_world, replace(TASK, prior=False), PLANNER, arm_bounds)
    action, plan = first_plan(agent)
    torch.manual_seed(3)
    goal, frame = torch.randint(0, 255, (2, 1, 1, 64, 64, 3), dtype=torch.uint8)
    seen, aim = projected(tiny_world, frame, goal)
    proposal = tiny_world.prior(aim[:, 0])(
        seen,
        torch.zeros(1, 1, 7),
        samples=1,
        horizon=tiny_world.stride,
        generator=torch.Generator(),
    )[:, 0, 0]
    assert proposal[0, 3:].abs().max() > 0
    high = torch.from_numpy(ACTION_HIGH)
    torch.testing.assert_close(action[:, :3], proposal.clamp(-high, high)[:, :3])
    assert bool((action[:, 3:] == 0).all())
    assert bool(plan.energy.isnan().all())


def test_random_actions_fill_the_bounds_of_the_active_dimensions(tiny_world, arm_bounds):
    policy = RandomPolicy(arm_bounds.only((0, 6)), seed=0)
    actions = policy.act(torch.zeros(500, 1, 1, 3), torch.zeros(500, 7))
    spread = actions.abs().amax(0).numpy()
    np.testing.assert_allclose(spread[[0, 6]], ACTION_HIGH[[0, 6]], rtol=0.02)
    assert not spread[1:6].any()


def test_driving_to_the_goal_pose_solves_reaching(arm_bounds):
    task = TaskConfig(name="reach", budget_steps=25)
    with environments("reach", 2, Look(64)) as made:
        simulators = [env.unwrapped for env in made]
        episodes = list(run_episodes(ToGoalPose(simulators, arm_bounds), made, [0, 1], task))
    assert all(episode.success for episode in episodes)
    assert min(episode.distance_start for episode in episodes) > 0.08
