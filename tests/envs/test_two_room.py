"""The disk collides as a whole and all the way, and success is counted in pixels of the board."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from worldmodel.envs.two_room import RADIUS, TwoRoomEnv
from worldmodel.envs.two_room_scripts import DOOR, MIDDLE, SPEED


@pytest.fixture
def env() -> TwoRoomEnv:
    return TwoRoomEnv()


def test_an_action_of_one_moves_the_disk_by_its_speed(env: TwoRoomEnv) -> None:
    env.restore(np.array([60.0, 150.0]))
    env.advance(np.array([1.0, -0.5]))
    np.testing.assert_allclose(env.proprioception(), [60 + SPEED, 150 - SPEED / 2])


def test_no_walk_leads_through_the_wall(env: TwoRoomEnv) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        env.restore(np.array([rng.uniform(21, 100), rng.uniform(90, 200)]))
        heading = np.array([1.0, rng.uniform(-0.2, 0.2)])
        for _ in range(30):
            env.advance(heading)
        assert env.proprioception()[0] == pytest.approx(107 - RADIUS)


@pytest.mark.parametrize("y", [DOOR, DOOR - 6, DOOR + 10])
def test_the_door_lets_the_disk_through_even_where_it_touches(env: TwoRoomEnv, y: float) -> None:
    env.restore(np.array([90.0, y]))
    for _ in range(12):
        env.advance(np.array([1.0, 0.0]))
    assert env.proprioception()[0] > MIDDLE


def test_exploring_never_overlaps_a_wall_and_visits_both_rooms(env: TwoRoomEnv) -> None:
    env.reset(seed=0)
    places = []
    for action in itertools.islice(env.explore(np.random.default_rng(0)), 2000):
        env.advance(action)
        places.append(env.proprioception())
    x, y = np.transpose(places)
    assert ((x > 14 + RADIUS - 1e-6) & (x < 210 - RADIUS + 1e-6)).all()
    blocked = (np.abs(x - MIDDLE) < 5 + RADIUS - 1e-6) & (np.abs(y - DOOR) > 14)
    assert not blocked.any()
    assert 0.2 < (x > MIDDLE).mean() < 0.8


def test_start_and_goal_are_in_opposite_rooms(env: TwoRoomEnv) -> None:
    for seed in range(50):
        env.reset(seed=seed)
        assert (env.scene()[0] < MIDDLE) != (env.goal[0] < MIDDLE)


@pytest.mark.parametrize(
    ("apart", "success", "strict"), [(7.9, True, True), (15.9, True, False), (16.1, False, False)]
)
def test_success_is_within_16_pixels_and_strictly_8(
    env: TwoRoomEnv, apart: float, success: bool, strict: bool
) -> None:
    verdict = env.judge(np.array([50.0, 100.0 + apart]), np.array([50.0, 100.0]))
    assert verdict == (pytest.approx(apart), success, strict)


def test_across_the_wall_is_no_strict_success(env: TwoRoomEnv) -> None:
    assert not env.judge(np.array([111.0, DOOR]), np.array([113.0, DOOR])).strict


def test_the_disk_is_drawn_where_it_is(env: TwoRoomEnv) -> None:
    env.restore(np.array([50.0, 150.0]))
    image = env.camera_image().astype(int)
    red = image[..., 0] - image[..., 1]
    y, x = np.average(np.indices(red.shape), axis=(1, 2), weights=np.maximum(red, 0))
    np.testing.assert_allclose((np.array([x, y]) + 0.5) * 224 / 64, [50, 150], atol=1.0)
