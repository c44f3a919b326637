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
from worldmodel.envs.mujoco_suite import MujocoSuiteEnv, Physics
from worldmodel.envs.ogbench_objects import Objects, compare
from worldmodel.envs.suite_env import Array, Verdict, check_task, describe, suite_module

__all__ = ["TASKS", "CubeEnv", "OGBenchEnv", "SceneEnv", "make"]

TASKS = {
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
    camera = "front_pixels"

    def __init__(self, task: str, image_size: int = 64, render_mode: str | None = None) -> None:
        super().__init__(image_size, render_mode)
        family, kind = TASKS[task]
        suite = suite_module(f"ogbench.manipspace.envs.{family}_env", ogbench_scripts.INSTALL)
        options = {"visualize_info": False, "terminate_at_goal": False}
        self._env: Any = getattr(suite, f"{family.title()}Env")(kind, **options)

    @property
    @override
    def physics(self) -> Physics:
        return Physics(self._env.model, self._env.data)

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
        cubes = [self.physics.data.body(f"object_{i}") for i in range(self._env._num_cubes)]
        turns = [cube.xmat.reshape(3, 3) for cube in cubes]
        return Objects(np.array([cube.xpos for cube in cubes]), np.array(turns))

    @override
    def judge(self, scene: Objects, goal: Objects) -> Verdict:
        return compare(scene, goal)

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """The suite's scripts with noise, to random targets."""
        return ogbench_scripts.explore(self._env, rng)


class CubeEnv(OGBenchEnv):
    """Cubes on a table."""

    @override
    def dress(self, model: mujoco.MjModel) -> None:
        super().dress(model)
        model.cam(self.camera).fovy = 50.0  # 45 cuts off the gripper at every fifth start

    def expert(self) -> Iterator[Array]:
        """The suite's script for one cube after the other, the lowest goal first; then rest.

        It moves no cube out of the way of another, so it cannot swap two.
        """
        yield from ogbench_scripts.place_cubes(self._env, self.goal)
        while True:
            yield np.zeros(5)


class SceneEnv(OGBenchEnv):
    """A cube, a drawer and a window, and a button that locks each of the two."""

    def expert(self) -> Iterator[Array]:
        """The suite's scripts for what has to move: unlock, move, lock; then rest."""
        yield from ogbench_scripts.arrange_scene(self._env, self.goal)
        while True:
            yield np.zeros(5)

    @override
    def snapshot(self) -> Any:
        return super().snapshot(), self._env._cur_button_states.copy()

    @override
    def restore(self, snapshot: Any) -> None:
        physics, locks = snapshot
        self._env._cur_button_states = locks.copy()
        self._env._apply_button_states()
        super().restore(physics)

    @override
    def scene(self) -> Objects:
        slides = [self.physics.data.joint(f"{name}_slide").qpos[0] for name in ("drawer", "window")]
        locks = self._env._cur_button_states.copy()
        return super().scene()._replace(slides=np.array(slides), locks=locks)


def make(task: str = "", *, image_size: int = 64, render_mode: str | None = None) -> OGBenchEnv:
    """The environment of a task among `TASKS`."""
    check_task(task, "ogbench", TASKS)
    kind = SceneEnv if task == "scene" else CubeEnv
    return kind(task, image_size, render_mode)
