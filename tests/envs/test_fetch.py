"""Goals are shown by the real scene, and success is what the suite counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("gymnasium_robotics")

from worldmodel.envs.fetch import FetchEnv


@pytest.mark.parametrize("task", FetchEnv.tasks)
def test_the_goal_is_where_the_suite_wants_it(task: str) -> None:
    env = FetchEnv(task)
    for seed in range(8):
        env.reset(seed=seed)
        assert np.linalg.norm(env.goal - env._env.goal) < 0.03
    env.close()


@pytest.mark.parametrize("task", FetchEnv.tasks)
def test_the_expert_brings_the_block_or_the_gripper_there(task: str) -> None:
    env = FetchEnv(task)
    solved = 0
    for seed in range(5):
        env.reset(seed=seed)
        reached = [env.advance(a) or env.verdict() for a in itertools.islice(env.expert(), 60)]
        solved += any(verdict.success for verdict in reached)
        assert env._env._is_success(env.scene(), env.goal) == env.verdict().success
    env.close()
    assert solved == 5


@pytest.mark.parametrize("task", ["push", "pick_and_place"])
def test_exploring_moves_the_block(task: str) -> None:
    env = FetchEnv(task)
    moved = []
    for seed in range(4):
        env.reset(seed=seed)
        start = env.scene()
        for action in itertools.islice(env.explore(np.random.default_rng(seed)), 100):
            env.advance(action)
        moved.append(np.linalg.norm(env.scene() - start))
    env.close()
    assert np.median(moved) > 0.03


@pytest.mark.parametrize(
    ("apart", "success", "strict"),
    [(0.024, True, True), (0.049, True, False), (0.051, False, False)],
)
def test_success_is_within_5_centimetres(apart: float, success: bool, strict: bool) -> None:
    verdict = FetchEnv.judge(None, np.array([apart, 0, 0]), np.zeros(3))  # type: ignore[arg-type]
    assert verdict == (pytest.approx(apart), success, strict)


def test_fingers_are_told_only_where_they_move() -> None:
    names = {task: FetchEnv(task).metadata["states"]["names"] for task in FetchEnv.tasks}
    assert names["reach"] == names["push"] == ["x", "y", "z"]
    assert names["pick_and_place"] == ["x", "y", "z", "opening"]
