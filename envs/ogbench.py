"""Cube and Scene of OGBench: an arm moves cubes, and a drawer, a window and two locks beside them.

Starts and goals are the suite's tasks, drawn at random. The goal image is taken where the suite
puts its scene into the goal state. The camera is that of its pixel tasks, the arm opaque.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from worldmodel.envs.mujoco_suite import MujocoSuiteEnv, Physics
from worldmodel.envs.suite_env import Array, Verdict, describe, suite_module

__all__ = ["TASKS", "CubeEnv", "OGBenchEnv", "SceneEnv", "make"]

TASKS = {
    "cube-single": ("cube", "single"),
    "cube-double": ("cube", "double"),
    "scene": ("scene",) * 2,
}
_INSTALL = "pip install 'worldmodel[ogbench]'"
_PURPLE = [0.61, 0.28, 0.82, 1.0]  # as the suite paints the gripper for pixels
_SIGNED = (
    np.eye(3)[list(p)] * s for p in permutations(range(3)) for s in product([-1, 1], repeat=3)
)
_TURNS = np.array(
    [turn for turn in _SIGNED if np.linalg.det(turn) > 0]
)  # the cube's own, [24, 3, 3]


class _Objects(NamedTuple):
    """Cubes' places ``[n, 3]`` (m) and turns ``[n, 3, 3]``; drawer and window (m); locks."""

    cubes: Array
    turns: Array
    slides: Array = np.zeros(0)
    locks: Array = np.zeros(0)


class OGBenchEnv(MujocoSuiteEnv):
    """Bring the objects to where the goal image shows them; where the arm is does not matter.

    Actions move the gripper by up to 5 cm, turn it by 0.3 rad and close it fully. Success is every
    cube, the drawer and the window within 4 cm, and every lock in its state; strictly, within 3 cm,
    and cubes turned by at most 15 degrees, whichever side is up.

    Args:
        task: ``cube-single``, ``cube-double`` or ``scene``.
        image_size: Side of the square images, pixels.
        render_mode: ``rgb_array`` or None.
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
        suite = suite_module(f"ogbench.manipspace.envs.{family}_env", _INSTALL)
        options = {"visualize_info": False, "terminate_at_goal": False}
        self._env: Any = getattr(suite, f"{family.title()}Env")(kind, **options)
        self._goal = _Objects(np.zeros((1, 3)), np.eye(3)[None])

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
    def mark_goal(self) -> None:
        self._goal = self._objects()

    @override
    def verdict(self) -> Verdict:
        here, goal = self._objects(), self._goal
        apart = [*np.linalg.norm(here.cubes - goal.cubes, axis=-1), *abs(here.slides - goal.slides)]
        distance, locked = float(max(apart)), bool((here.locks == goal.locks).all())
        turned = max(map(_turn_between, here.turns, goal.turns))
        strict = locked and distance <= 0.03 and turned <= 15
        return Verdict(distance, locked and distance <= 0.04, strict)

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """The suite's scripts with noise: pick, place, press, slide, to random places, for ever."""
        suite = self._env
        suite.np_random = rng
        while True:
            suite.set_new_target(return_info=False)
            noise = rng.uniform(0.0, 0.1) * np.array([1, 1, 1, 3, 10])
            low, high = suite._arm_sampling_bounds
            for action in self._script(rng.uniform(low, high), rng.uniform(-np.pi, np.pi)):
                yield np.clip(action + noise * rng.standard_normal(5), -1.0, 1.0)

    def _script(self, xyz: Array, yaw: float) -> Iterator[Array]:
        """The suite's actions towards its present target, then to a place (m) of the gripper."""
        suite, kind = self._env, self._env._target_task
        module = suite_module(f"ogbench.manipspace.oracles.markov.{kind}_markov", _INSTALL)
        oracle = getattr(module, f"{kind.title()}MarkovOracle")(env=suite)
        oracle.reset(None, None)
        oracle._final_pos, oracle._final_yaw = xyz, yaw
        while not oracle.done:
            yield oracle.select_action(None, suite.compute_ob_info())

    def _objects(self) -> _Objects:
        cubes = [self.physics.data.body(f"object_{i}") for i in range(self._env._num_cubes)]
        turns = [cube.xmat.reshape(3, 3) for cube in cubes]
        return _Objects(np.array([cube.xpos for cube in cubes]), np.array(turns))


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
        data, suite, (low, high) = self.physics.data, self._env, self._env._arm_sampling_bounds
        for cube in np.argsort(self._goal.cubes[:, 2]):
            if np.linalg.norm(self._objects().cubes[cube] - self._goal.cubes[cube]) < 0.02:
                continue
            target = suite._cube_target_mocap_ids[cube]
            data.mocap_pos[target] = self._goal.cubes[cube]
            mujoco.mju_mat2Quat(data.mocap_quat[target], self._goal.turns[cube].ravel())
            suite._target_task, suite._target_block = "cube", cube
            yield from self._script((low + high) / 2, 0.0)
        while True:
            yield np.zeros(5)


class SceneEnv(OGBenchEnv):
    """A cube, a drawer and a window, and a button that locks each of the two."""

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
    def _objects(self) -> _Objects:
        slides = [self.physics.data.joint(f"{name}_slide").qpos[0] for name in ("drawer", "window")]
        locks = self._env._cur_button_states.copy()
        return super()._objects()._replace(slides=np.array(slides), locks=locks)


def _turn_between(one: Array, other: Array) -> float:
    """Degrees between two turns ``[3, 3]`` of a cube that looks the same from all sides."""
    traces = np.einsum("ji,jk,nki->n", one, other, _TURNS)
    return float(np.degrees(np.arccos(np.clip((traces.max() - 1) / 2, -1.0, 1.0))))


def make(task: str = "", *, image_size: int = 64, render_mode: str | None = None) -> OGBenchEnv:
    """The environment of a task among `TASKS`."""
    if task not in TASKS:
        names = ", ".join(f"ogbench:{name}" for name in TASKS)
        raise ValueError(f"Expected a task among {names}, got {task!r}")
    kind = SceneEnv if task == "scene" else CubeEnv
    return kind(task, image_size, render_mode)
