"""Cube and Scene of OGBench: an arm moves cubes, and a drawer, a window and two locks beside them.

Starts and goals are the suite's tasks, drawn at random. The goal image is taken where the suite
puts its scene into the goal state. The camera is that of its pixel tasks, the arm opaque.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from worldmodel.envs import ogbench_scripts
from worldmodel.envs.mujoco_suite import MujocoSuiteEnv
from worldmodel.envs.ogbench_objects import Objects, compare, locks_of, objects_of
from worldmodel.envs.suite_env import Array, Verdict, describe, suite_module

__all__ = ["OGBenchEnv"]

_TASKS = {
    "cube-single": ("cube", "single"),
    "cube-double": ("cube", "double"),
    "scene": ("scene",) * 2,
}
_PURPLE = [0.61, 0.28, 0.82, 1.0]  # as the suite paints the gripper for pixels


class OGBenchEnv(MujocoSuiteEnv):
    """Bring the objects to where the goal image shows them; where the arm is does not matter.

    Actions move the gripper by up to 5 cm, turn it by 0.3 rad and close it fully. Success is every
    cube, the drawer and the window within 4 cm, and every lock in its state; strictly, within 3 cm,
    and cubes turned by at most 15 degrees, whichever side is up.

    Args:
        task: ``cube-single``, ``cube-double`` or ``scene``; see `SuiteEnv` for the others.
    """

    metadata = describe(
        hz=20,
        kind="delta",
        actions={"dx": 0.05, "dy": 0.05, "dz": 0.05, "dyaw": 0.3, "dgripper": 1.0},
        states=["x", "y", "z", "yaw", "gripper"],
        distance_unit="m",
        periodic=["yaw"],
        half_turn=["yaw"],
    )
    tasks, camera = _TASKS, "front_pixels"
    strict_steps = 3

    def __init__(self, task: str, image_size: int = 64, render_mode: str | None = None) -> None:
        super().__init__(image_size, render_mode)
        family, kind = _TASKS[task]
        suite = suite_module(f"ogbench.manipspace.envs.{family}_env", ogbench_scripts.INSTALL)
        options = {"visualize_info": False, "terminate_at_goal": False}
        self._env = getattr(suite, f"{family.title()}Env")(kind, **options)

    @override
    def arrange(self) -> None:
        suite = self._env
        settle = suite.step

        def at_goal(_: object) -> None:  # the suite takes two random steps where its goal is
            settle(np.zeros(5))
            self.set_goal()

        suite._mode, suite.step = "task", at_goal
        task = int(self.np_random.integers(suite.num_tasks)) + 1
        with warnings.catch_warnings(action="ignore"):  # of the precision of its bounds
            suite.reset(seed=int(self.np_random.integers(2**31)), options={"task_id": task})
        suite._mode, suite.step = "data_collection", settle  # in which its scripts work

    @override
    def dress(self, model: mujoco.MjModel) -> None:
        for part in ("black", "pad_gray"):
            model.mat(f"ur5e/robotiq/{part}").rgba = _PURPLE
        if not locks_of(self._env).size:
            model.cam(self.camera).fovy = 50.0  # 45 cuts off the gripper at every fifth start

    @override
    def advance(self, action: NDArray[np.floating[Any]]) -> None:
        self._env.step(action)

    @override
    def proprioception(self) -> Array:
        seen = self._env.compute_ob_info()
        names = ("effector_pos", "effector_yaw", "gripper_opening")
        return np.concatenate([seen[f"proprio/{name}"] for name in names])

    @override
    def scene(self) -> Objects:
        return objects_of(self._env)

    @override
    def judge(self, scene: Objects, goal: Objects) -> Verdict:
        return compare(scene, goal)

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """The suite's scripts with noise, to random targets."""
        return ogbench_scripts.explore(self._env, rng)

    def expert(self) -> Iterator[Array]:
        """The suite's scripts for what has to move, without swapping two cubes; then rest."""
        return ogbench_scripts.expert(self._env, self.goal)

    @override
    def snapshot(self) -> Any:
        return super().snapshot(), locks_of(self._env).copy()

    @override
    def restore(self, snapshot: Any) -> None:
        physics, locks = snapshot
        if locks.size:
            self._env._cur_button_states = locks.copy()
            self._env._apply_button_states()
        super().restore(physics)
