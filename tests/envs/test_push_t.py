"""Success is counted in pixels and degrees; the block is pushed within the board."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from worldmodel.envs.push_t import PushTEnv


@pytest.fixture(scope="module")
def env() -> Iterator[PushTEnv]:
    env = PushTEnv()
    env.reset(seed=0)
    yield env
    env.close()


GOAL = np.array([200.0, 200.0, 300.0, 300.0, 0.1])


@pytest.mark.parametrize(
    ("offset", "degrees", "success", "strict"),
    [
        ([0, 0, 9, 0], 9, True, True),
        ([0, 0, 11, 0], 0, True, False),
        ([0, 0, 0, 0], 11, True, False),
        ([0, 19, 0, 0], 19, True, False),
        ([0, 19, 0, 0], 21, False, False),
        ([15, 0, 15, 0], 0, False, False),
        ([300, 0, 0, 0], 0, False, True),
        ([0, 0, 0, 0], 359, True, True),
        ([0, 0, 0, 0], -725, True, True),
    ],
)
def test_success_is_20_pixels_and_degrees_and_strictly_the_blocks_10(
    env: PushTEnv, offset: list[float], degrees: float, success: bool, strict: bool
) -> None:
    verdict = env.judge(GOAL + np.array([*offset, np.radians(degrees)]), GOAL)
    assert verdict == (pytest.approx(np.linalg.norm(offset)), success, strict)


def test_an_action_heads_for_a_place_relative_to_the_agent(env: PushTEnv) -> None:
    env.restore(np.array([100.0, 100, 350, 350, 0, 0, 0, 0, 0, 0]))
    for _ in range(3):
        env.advance(np.array([0.5, 0.0]))
    x, y = env.proprioception()[:2]
    assert 120 < x < 250
    assert y == pytest.approx(100.0)
    for _ in range(30):
        env.advance(np.array([1.0, 0.0]))
    assert env.proprioception()[0] == pytest.approx(512 - 15, abs=1.0)


def test_exploring_moves_the_block_and_keeps_it_on_the_board(env: PushTEnv) -> None:
    env.reset(seed=1)
    scenes = []
    for action in itertools.islice(env.explore(np.random.default_rng(0)), 600):
        env.advance(action)
        scenes.append(env.scene())
    block = np.array(scenes)[:, 2:]
    assert (np.ptp(block[:, :2], axis=0) > 100).all()
    assert np.ptp(block[:, 2]) > 1
    assert ((block[:, :2] > 0) & (block[:, :2] < 512)).all()
    assert 0.2 < (np.abs(np.diff(block, axis=0)).max(1) > 0.1).mean() < 0.9


def test_what_is_recorded_of_the_script_is_what_the_agent_did() -> None:
    from worldmodel.agents.behaviour import behaviour
    from worldmodel.agents.environment import make_env

    env = make_env("push_t", repeat=5)
    env.reset(seed=2)
    inner = env.unwrapped
    assert isinstance(inner, PushTEnv)
    start, acting = inner.snapshot(), behaviour("scripted")(env, np.random.default_rng(0))
    actions = [next(acting)[0] for _ in range(8)]
    end = inner.scene()
    inner.restore(start)
    for action in actions:
        env.step(action)
    np.testing.assert_allclose(inner.scene(), end, atol=0.1)


def test_a_step_is_the_suites_own(env: PushTEnv) -> None:
    env.reset(seed=3)
    for action in itertools.islice(env.explore(np.random.default_rng(1)), 50):
        start = env.snapshot()
        env.advance(action)
        end = env.snapshot()
        env.restore(start)
        target = np.clip(start[:2] + 100 * action, 15, 512 - 15)
        env._env.step(target)
        np.testing.assert_array_equal(env.snapshot(), end)


def test_goals_are_reached_by_pushing(env: PushTEnv) -> None:
    moved = []
    for seed in range(20):
        env.reset(seed=seed)
        moved.append(np.abs(env.scene() - env.goal)[2:4].max())
    assert np.median(moved) > 40


def test_nothing_but_agent_and_block_is_shown(env: PushTEnv) -> None:
    env.reset(seed=0)
    image = env.camera_image()
    env._env.goal_pose = np.array([400.0, 100.0, 0.0])
    assert np.array_equal(env.camera_image(), image)
    green = image[..., 1].astype(int) - np.maximum(image[..., 0], image[..., 2])
    assert green.max() < 10
