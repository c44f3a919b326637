"""OGBench's own scripts, made reproducible: pick, place, press and slide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np

from worldmodel.envs.ogbench_objects import Objects
from worldmodel.envs.suite_env import Array, suite_module

__all__ = ["INSTALL", "expert", "explore"]

INSTALL = "pip install 'worldmodel[ogbench]'"
_SLIDES = ("drawer", "window")
_NOISE = np.array([1.0, 1.0, 1.0, 3.0, 10.0])  # as the suite's noisy data have it


def explore(suite: Any, rng: np.random.Generator) -> Iterator[Array]:
    """Actions ``[5]`` towards one random target after the other, with noise, for ever."""
    low, high = suite._arm_sampling_bounds
    suite.np_random = rng
    while True:
        suite.set_new_target(return_info=False)
        noise = rng.uniform(0.0, 0.1) * _NOISE
        for action in _script(suite, rng.uniform(low, high), rng.uniform(-np.pi, np.pi)):
            yield np.clip(action + noise * rng.standard_normal(5), -1.0, 1.0)


def expert(suite: Any, goal: Objects) -> Iterator[Array]:
    """Actions ``[5]`` that bring everything to its goal, then rest."""
    yield from _arrange_scene(suite, goal) if goal.locks.size else _place_cubes(suite, goal)
    while True:
        yield np.zeros(5)


def _place_cubes(suite: Any, goal: Objects) -> Iterator[Array]:
    """Actions ``[5]`` that bring one cube after the other to its goal, the lowest first."""
    for cube in np.argsort(goal.cubes[:, 2]):
        yield from _place(suite, int(cube), goal.cubes[cube], goal.turns[cube])


def _arrange_scene(suite: Any, goal: Objects) -> Iterator[Array]:
    """Actions ``[5]`` that unlock what has to move, move it, and lock what is to be locked."""
    places = [suite.data.joint(f"{name}_slide").qpos[0] for name in _SLIDES]
    moves = [abs(place - wanted) > 0.02 for place, wanted in zip(places, goal.slides, strict=True)]
    stored = suite._is_in_drawer(suite.data.body("object_0").xpos)
    into = _distance(suite, 0, goal.cubes[0]) > 0.02 and goal.cubes[0, 1] < -0.3
    moves[0] = moves[0] or into or stored
    for lock, moving in enumerate(moves):
        if moving:
            yield from _press(suite, lock, 1)
    if into or stored:
        yield from _slide(suite, 0, -0.16)
    yield from _place(suite, 0, suite._drawer_center if into else goal.cubes[0], goal.turns[0])
    for slide, wanted in enumerate(goal.slides):
        yield from _slide(suite, slide, wanted)
    for lock, state in enumerate(goal.locks):
        yield from _press(suite, lock, int(state))


def _distance(suite: Any, cube: int, xyz: Array) -> float:
    return float(np.linalg.norm(suite.data.body(f"object_{cube}").xpos - xyz))


def _place(suite: Any, cube: int, xyz: Array, turn: Array) -> Iterator[Array]:
    if _distance(suite, cube, xyz) > 0.02:
        target = suite._cube_target_mocap_ids[cube]
        suite.data.mocap_pos[target] = xyz
        mujoco.mju_mat2Quat(suite.data.mocap_quat[target], turn.ravel())
        suite._target_task, suite._target_block = "cube", cube
        yield from _script(suite, suite._arm_sampling_bounds.mean(0), 0.0)


def _slide(suite: Any, slide: int, place: float) -> Iterator[Array]:
    name = _SLIDES[slide]
    if abs(suite.data.joint(f"{name}_slide").qpos[0] - place) > 0.02:
        suite._target_task = name
        suite.model.site(f"{name}_handle_center_target").pos[1 - slide] = place
        mujoco.mj_kinematics(suite.model, suite.data)
        yield from _script(suite, suite._arm_sampling_bounds.mean(0), 0.0)


def _press(suite: Any, lock: int, state: int) -> Iterator[Array]:
    if suite._cur_button_states[lock] != state:
        suite._target_task, suite._target_button = "button", lock
        suite._target_button_states[lock] = state
        yield from _script(suite, suite._arm_sampling_bounds.mean(0), 0.0)


def _script(suite: Any, xyz: Array, yaw: float) -> Iterator[Array]:
    """Towards the present target, then to a place (m) and a yaw (rad) of the gripper."""
    kind = suite._target_task
    module = suite_module(f"ogbench.manipspace.oracles.markov.{kind}_markov", INSTALL)
    oracle = getattr(module, f"{kind.title()}MarkovOracle")(env=suite)
    oracle.reset(None, None)
    oracle._final_pos, oracle._final_yaw = xyz, yaw  # it drew them from numpy's global generator
    while not oracle.done:
        yield oracle.select_action(None, suite.compute_ob_info())
