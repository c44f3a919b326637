"""Success is told by the cubes, the slides and the locks; the suite's scripts are reproducible."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("ogbench")

from worldmodel.envs import make_from_suite
from worldmodel.envs.ogbench_objects import Objects, compare, turn_between


def turned(axis: int, degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    one, other = [index for index in range(3) if index != axis]
    matrix[[one, other, one, other], [one, other, other, one]] = cosine, cosine, -sine, sine
    return matrix


@pytest.mark.parametrize(
    ("degrees", "expected"), [(0, 0), (14, 14), (45, 45), (76, 14), (90, 0), (180, 0), (-100, 10)]
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_cube_looks_the_same_after_quarter_turns(
    axis: int, degrees: float, expected: float
) -> None:
    start = turned(0, 20) @ turned(2, 130)
    assert turn_between(start, start @ turned(axis, degrees)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("apart", "degrees", "success", "strict"),
    [
        (0.029, 14, True, True),
        (0.029, 16, True, False),
        (0.031, 0, True, False),
        (0.039, 45, True, False),
        (0.041, 0, False, False),
    ],
)
def test_success_is_4_centimetres_and_strictly_3_and_15_degrees(
    apart: float, degrees: float, success: bool, strict: bool
) -> None:
    goal = Objects(np.zeros((2, 3)), np.array([np.eye(3)] * 2))
    here = Objects(np.array([[0, 0, 0], [0, apart, 0]]), np.array([np.eye(3), turned(2, degrees)]))
    assert compare(here, goal) == (pytest.approx(apart), success, strict)


def test_a_slide_or_a_lock_out_of_place_is_no_success() -> None:
    goal = Objects(np.zeros((1, 3)), np.eye(3)[None], np.array([0.0, 0.1]), np.array([0, 1]))
    assert compare(goal, goal) == (0.0, True, True)
    assert not compare(goal._replace(slides=np.array([0.0, 0.15])), goal).success
    assert compare(goal._replace(locks=np.array([1, 1])), goal) == (0.0, False, False)


def test_the_goal_is_that_of_the_suites_tasks() -> None:
    env = make_from_suite("ogbench:cube-single")
    known = np.array([task["goal_xyzs"][0] for task in env._env.task_infos])
    found = set()
    for seed in range(12):
        env.reset(seed=seed)
        distances = np.linalg.norm(known - env.goal.cubes[0], axis=1)
        found.add(int(distances.argmin()))
        assert distances.min() < 0.005
    env.close()
    assert len(found) >= 4


def test_exploring_moves_what_can_be_moved() -> None:
    env = make_from_suite("ogbench:scene")
    env.reset(seed=0)
    scenes = []
    for action in itertools.islice(env.explore(np.random.default_rng(0)), 500):
        env.advance(action)
        scenes.append(env.scene())
    env.close()
    for part in ("cubes", "slides", "locks"):
        assert np.ptp([getattr(scene, part) for scene in scenes], axis=0).max() > 0.05, part


@pytest.mark.parametrize("seed", [1, 2])  # rearranging; into the drawer, which is locked
def test_the_expert_unlocks_moves_and_locks(seed: int) -> None:
    env = make_from_suite("ogbench:scene")
    env.reset(seed=seed)
    steps = itertools.takewhile(lambda _: not env.verdict().success, env.expert())
    for action in itertools.islice(steps, 400):
        env.advance(np.clip(action, -1.0, 1.0))
    env.close()
    assert env.verdict().success


def test_a_snapshot_keeps_the_locks() -> None:
    env = make_from_suite("ogbench:scene")
    env.reset(seed=0)
    start, image = env.snapshot(), env.camera_image()
    locks = env.scene().locks.tolist()
    env._env._cur_button_states[:] = 1 - env._env._cur_button_states
    env._env._apply_button_states()
    assert not np.array_equal(env.camera_image(), image)
    env.restore(start)
    assert env.scene().locks.tolist() == locks
    assert np.array_equal(env.camera_image(), image)
    env.close()


def test_scripts_do_not_depend_on_the_global_generator() -> None:
    env = make_from_suite("ogbench:cube-single")
    runs = []
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002
        env.reset(seed=3)
        taken = []
        for action in itertools.islice(env.explore(np.random.default_rng(0)), 150):
            env.advance(action)
            taken.append(action)
        runs.append(np.array(taken))
    env.close()
    assert np.array_equal(*runs)
