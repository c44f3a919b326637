"""The simulator's side of a diagnosis: true costs, candidates of all degrees, nothing disturbed."""

from __future__ import annotations

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.diagnostics.trials import run_trial, steps_to_go, views
from worldmodel.envs import ACTION_HIGH
from worldmodel.evaluation.episodes import SEED_OFFSET

SETTINGS = {"forks": 2, "candidates": 5, "horizon": 4, "limit": 40, "active_dims": (0, 1, 2)}


@pytest.fixture(scope="module")
def env():
    env = envs.make("push", 64)
    yield env
    env.close()


@pytest.fixture(scope="module")
def settings(arm_bounds):
    return SETTINGS | {"bounds": arm_bounds}


@pytest.fixture(scope="module")
def trial(env, settings):
    return run_trial(env, 0, **settings)


def test_the_path_leads_to_success_and_counts_down_to_it(env, trial):
    left = [moment.to_go for moment in trial.path]
    assert left == list(range(len(left) - 1, -1, -1))
    env.restore(trial.path[-1].snapshot)
    assert env.distance() <= 0.04
    env.restore(trial.path[-2].snapshot)
    assert env.distance() > 0.04


def test_the_steps_to_go_of_a_moment_are_those_of_the_path_and_leave_the_simulator_there(
    env, trial
):
    env.reset(seed=SEED_OFFSET)
    for moment in (trial.path[0], trial.path[-3], trial.path[-1]):
        env.restore(moment.snapshot)
        found = steps_to_go(env, limit=40)
        assert abs(found - moment.to_go) <= 4  # a script that starts anew may go another way
        np.testing.assert_array_equal(env.snapshot().physics, moment.snapshot.physics)
    assert steps_to_go(env, limit=40) == 0
    env.restore(trial.path[0].snapshot)
    assert steps_to_go(env, limit=3) == 3


@pytest.mark.parametrize("task", ["grasp", "pick_and_place"])
def test_an_expert_goes_on_with_what_it_holds(task, settings):
    """So that a state in which the cube is held costs less than one before the grasp."""
    env = envs.make(task, 64)
    solved = run_trial(env, 0, **(settings | {"forks": 1, "candidates": 2}))
    held = [moment for moment in solved.path if moment.state[6] > 0.9]
    env.reset(seed=SEED_OFFSET)
    env.restore(held[-1].snapshot)
    assert steps_to_go(env, 60) <= held[-1].to_go + 2
    env.close()


def test_candidates_go_from_the_experts_own_to_noise_within_bounds(trial):
    for fork in trial.forks:
        assert fork.actions.shape == (5, 4, 7)
        assert (np.abs(fork.actions) <= ACTION_HIGH).all()
        assert not fork.actions[:, :, 3:].any()
        from_expert = np.abs(fork.actions - fork.actions[:1]).mean((1, 2))
        assert from_expert[0] < from_expert[1] < from_expert[-1]
        assert fork.ends[0].to_go <= min(end.to_go for end in fork.ends[3:])


def test_the_same_seed_makes_the_same_trial_whatever_ran_before(env, trial, settings):
    run_trial(env, 3, **settings)
    again = run_trial(env, 0, **settings)
    for one, other in zip(trial.forks, again.forks, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        assert [end.to_go for end in one.ends] == [end.to_go for end in other.ends]


def test_a_trial_can_be_looked_at_in_any_scenery(env, trial):
    """Moments of the plain scene are moments of the rich one; only its look is another."""
    rich = envs.make("push", 64, "rich", "test")
    rich.reset(seed=SEED_OFFSET)
    seen = views(rich, trial.path[:2])
    np.testing.assert_array_equal(rich.tool_pose(), _pose_at(env, trial.path[1]))
    env.reset(seed=SEED_OFFSET)
    plain = views(env, trial.path[:2])
    assert seen.shape == plain.shape == (2, 64, 64, 3)
    assert np.abs(seen.astype(int) - plain).mean() > 5
    rich.close()


def _pose_at(env, moment):
    env.restore(moment.snapshot)
    return env.tool_pose()


def test_a_task_that_the_expert_does_not_solve_in_time_is_left_out(env, settings):
    assert run_trial(env, 0, **(settings | {"limit": 2})) is None


def test_moments_know_their_shaped_cost(env, trial):
    env.reset(seed=SEED_OFFSET)
    moment = trial.path[1]
    env.restore(moment.snapshot)
    assert moment.cost == pytest.approx(env.task_cost(), rel=1e-3)
    assert trial.path[-1].cost < trial.path[0].cost
