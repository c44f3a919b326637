"""OGBench's own scripts, made reproducible: pick, place, press and slide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np

from worldmodel.envs.ogbench_objects import Objects
from worldmodel.envs.suite_env import Array, suite_module

__all__ = ["INSTALL", "explore", "place_cubes"]

INSTALL = "pip install 'worldmodel[ogbench]'"
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


def place_cubes(suite: Any, goal: Objects) -> Iterator[Array]:
    """Actions ``[5]`` that bring one cube after the other to its goal, the lowest first."""
    low, high = suite._arm_sampling_bounds
    for cube in np.argsort(goal.cubes[:, 2]):
        if np.linalg.norm(suite.data.body(f"object_{cube}").xpos - goal.cubes[cube]) < 0.02:
            continue
        target = suite._cube_target_mocap_ids[cube]
        suite.data.mocap_pos[target] = goal.cubes[cube]
        mujoco.mju_mat2Quat(suite.data.mocap_quat[target], goal.turns[cube].ravel())
        suite._target_task, suite._target_block = "cube", cube
        yield from _script(suite, (low + high) / 2, 0.0)


def _script(suite: Any, xyz: Array, yaw: float) -> Iterator[Array]:
    """Towards the present target, then to a place (m) and a yaw (rad) of the gripper."""
    kind = suite._target_task
    module = suite_module(f"ogbench.manipspace.oracles.markov.{kind}_markov", INSTALL)
    oracle = getattr(module, f"{kind.title()}MarkovOracle")(env=suite)
    oracle.reset(None, None)
    oracle._final_pos, oracle._final_yaw = xyz, yaw  # it drew them from numpy's global generator
    while not oracle.done:
        yield oracle.select_action(None, suite.compute_ob_info())
