"""Exploration touches the object, is reproducible and stays within the bounds."""

from __future__ import annotations

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs.tabletop.environment import ACTION_HIGH
from worldmodel.envs.tabletop.exploration import MIXTURES, collect_episode


def test_every_task_has_a_mixture() -> None:
    assert set(MIXTURES) == set(envs.TASKS)


def test_the_same_seed_gives_the_same_episode_whatever_ran_before() -> None:
    first = collect_episode("push", 3, 12, 64)
    collect_episode("push", 4, 5, 64)
    again = collect_episode("push", 3, 12, 64)
    for name in ("frames", "actions", "states", "objects"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name


@pytest.mark.parametrize("task", envs.TASKS)
def test_actions_are_within_their_bounds(task: str) -> None:
    episode = collect_episode(task, 0, 30, 64)
    assert np.all(np.abs(episode.actions) <= ACTION_HIGH)


def test_pushing_data_move_the_cube_and_then_leave_it_alone() -> None:
    moved = still = 0
    for seed in range(6):
        episode = collect_episode("push", seed, 50, 64)
        travel = np.linalg.norm(np.diff(episode.objects[:, :2], axis=0), axis=1)
        apart = np.linalg.norm(episode.states[1:, :3] - episode.objects[1:], axis=1)
        moved += int((travel > 0.01).sum())
        still += int(((travel < 0.001) & (apart > 0.1)).sum())
    assert moved > 20
    assert still > 60


def test_lifting_data_lift_the_cube() -> None:
    heights = [collect_episode("grasp", seed, 50, 64).objects[:, 2].max() for seed in range(4)]
    assert max(heights) > 0.08


def test_placing_data_put_the_cube_on_the_block() -> None:
    rested = 0
    for seed in range(12):
        episode = collect_episode("pick_and_place", seed, 50, 64)
        apart = np.linalg.norm(episode.states[:, :3] - episode.objects, axis=1) > 0.1
        rested += int((apart & (episode.objects[:, 2] > 0.055)).any())
    assert rested >= 2
