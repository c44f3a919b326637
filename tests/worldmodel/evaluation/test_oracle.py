"""The upper bound imagines with the true simulator, and does not disturb it."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from worldmodel import envs
from worldmodel.agents.task import TaskConfig
from worldmodel.evaluation.oracle import OracleConfig, OraclePolicy, SimulatorWorld
from worldmodel.evaluation.parallel import run_apart
from worldmodel.planners import (
    CEMConfig,
    GradientConfig,
    ICEMConfig,
    MPPIConfig,
    RandomShootingConfig,
)

REACH = ("reach", 64, "plain", "test")
SEARCH = CEMConfig(samples=8, iterations=2, horizon=4, elites=3, receding_horizon=4, proposals=0)


def test_what_it_imagines_is_what_happens_then():
    env = envs.make("push", 64)
    env.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    actions = 0.03 * torch.randn(1, 3, 4, 7, generator=generator)
    before = env.snapshot().physics
    trajectory = SimulatorWorld(env).rollout(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 7), actions)
    np.testing.assert_array_equal(env.snapshot().physics, before)
    costs = []
    for action in actions[0, 2].double().numpy():
        env.advance(action)
        costs.append(env.task_cost())
    assert trajectory.latents[0, 2, :, 0, 0].tolist() == pytest.approx(costs, rel=1e-5)
    env.close()


def test_it_gets_nearer_to_the_goal_in_a_process_per_episode(arm_bounds):
    task = TaskConfig(name="reach", budget_steps=8, hold_steps=0)
    policy_on = partial(OraclePolicy, planner=SEARCH, bounds=arm_bounds)
    episodes = list(run_apart(policy_on, range(2), task, REACH, workers=2))
    assert [episode.seed for episode in episodes] == [1_000_000, 1_000_001]
    for episode in episodes:
        assert episode.distance_final < episode.distance_start - 0.05


@pytest.mark.parametrize("config", [CEMConfig, ICEMConfig, MPPIConfig, RandomShootingConfig])
def test_every_planner_that_samples_can_search_in_it(config, arm_bounds):
    task = TaskConfig(name="reach", budget_steps=8, hold_steps=0)
    settings = {"samples": 16, "iterations": 2, "horizon": 4, "receding_horizon": 4, "proposals": 0}
    policy_on = partial(OraclePolicy, planner=config(**settings), bounds=arm_bounds)
    (episode,) = run_apart(policy_on, range(1), task, REACH, workers=1)
    assert episode.distance_final < episode.distance_start - 0.05


def test_a_planner_that_follows_gradients_says_that_it_has_none(arm_bounds):
    env = envs.make("reach", 64)
    env.reset(seed=0)
    search = GradientConfig(samples=2, iterations=2, horizon=4, proposals=0)
    policy = OraclePolicy(env, search, arm_bounds)
    with pytest.raises(ValueError, match="world that gradients pass through"):
        policy.act(torch.zeros(1, 64, 64, 3), torch.zeros(1, 7))
    env.close()


def test_it_tells_the_futures_of_one_episode_only():
    untouched = SimpleNamespace(task_cost=None)
    with pytest.raises(ValueError, match="a simulator is in one state at a time"):
        SimulatorWorld(untouched).rollout(None, torch.zeros(2, 1, 7), torch.zeros(2, 3, 4, 7))


def test_too_few_episodes_are_refused():
    with pytest.raises(ValueError, match=r"episodes\n.* or equal to 1"):
        OracleConfig(episodes=0)
    with pytest.raises(ValueError, match=r"probe_episodes\n.* or equal to 2"):
        OracleConfig(probe_episodes=1)
