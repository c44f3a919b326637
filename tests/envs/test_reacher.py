"""Success is told by the joints, the shoulder's angle being the same after a whole turn."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dm_control")

from worldmodel.envs.reacher import ReacherEnv


@pytest.fixture(scope="module")
def env() -> Iterator[ReacherEnv]:
    env = ReacherEnv()
    env.reset(seed=0)
    yield env
    env.close()


@pytest.mark.parametrize(
    ("joints", "distance"),
    [([0.04, 0.0], 0.04), ([2 * np.pi - 0.04, 0.01], 0.04), ([0.01, 2 * np.pi], 2 * np.pi)],
)
def test_the_largest_error_counts_and_only_the_shoulder_wraps(
    env: ReacherEnv, joints: list[float], distance: float
) -> None:
    verdict = env.judge(np.array([*joints, 0.0, 0.0]), np.zeros(4))
    assert verdict.distance == pytest.approx(distance)
    assert verdict.success == (distance < 0.05)


@pytest.mark.parametrize(("apart", "strict"), [(0.0099, True), (0.0101, False)])
def test_strict_success_is_a_fingertip_within_one_centimetre(
    env: ReacherEnv, apart: float, strict: bool
) -> None:
    assert env.judge(np.array([1.0, 1.0, apart, 0.0]), np.zeros(4)).strict == strict


def test_a_whole_turn_of_the_shoulder_shows_and_reads_the_same(env: ReacherEnv) -> None:
    seen = []
    for turns in (0, 1, -2):
        env._place(np.array([0.5 + 2 * np.pi * turns, 1.0]))
        seen.append(env.observe())
    for other in seen[1:]:
        np.testing.assert_allclose(other["state"], seen[0]["state"], atol=1e-5)
        assert np.abs(other["image"].astype(int) - seen[0]["image"]).max() < 8


def test_the_suites_target_is_not_shown(env: ReacherEnv) -> None:
    image = env.camera_image()
    env.physics.model.geom("target").pos[:2] = [0.1, 0.1]
    env._place(env.physics.data.qpos.copy())
    assert np.array_equal(env.camera_image(), image)


def test_reaching_the_suites_target_ends_and_resets_nothing(env: ReacherEnv) -> None:
    env.reset(seed=1)
    before: Any = None
    for action in itertools.islice(env.explore(np.random.default_rng(0)), 1200):
        env.advance(action)
        joints = env.physics.data.qpos.copy()
        assert before is None or np.abs(joints - before).max() < 0.6
        before = joints
