"""The upper bound imagines with the true simulator, and does not disturb it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import envs
from planners import CEMConfig
from worldmodel.commands.oracle import OracleConfig, SimulatorWorld, oracle_episodes
from worldmodel.commands.task import TaskConfig

SEARCH = CEMConfig(samples=8, iterations=2, horizon=4, elites=3, execute=4, proposals=0)


def test_what_it_imagines_is_what_happens_then():
    env = envs.make("push", 64)
    env.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    actions = 0.03 * torch.randn(1, 3, 4, 7, generator=generator)
    before = env.snapshot().physics
    trajectory = SimulatorWorld(env).rollout(None, torch.zeros(1, 1, 7), actions)
    np.testing.assert_array_equal(env.snapshot().physics, before)
    costs = []
    for action in actions[0, 2].double().numpy():
        env.advance(action)
        costs.append(env.task_cost())
    assert trajectory.latents[0, 2, :, 0, 0].tolist() == pytest.approx(costs, rel=1e-5)
    env.close()


def test_it_gets_nearer_to_the_goal_and_covers_the_episodes_it_was_asked_for():
    task = TaskConfig(name="reach", budget_steps=8, hold_steps=0)
    config = OracleConfig(episodes=2, workers=2, planner=SEARCH)
    episodes = list(oracle_episodes(task, range(5), config, 64))
    assert [episode.seed for episode in episodes] == [1_000_000, 1_000_001]
    for episode in episodes:
        assert episode.distance_final < episode.distance_start - 0.05
