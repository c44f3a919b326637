"""Fetch of gymnasium-robotics: reach a place, push a block, or pick it up and place it.

Starts and goals are the suite's. The goal image shows the real scene at the goal: the gripper is
driven there, and holds the block if that is in the air, or is above it; then all is undone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from worldmodel.envs import fetch_scripts
from worldmodel.envs.fetch_scripts import CLOSE, OPEN, SAFE, STRIDE, TABLE, go
from worldmodel.envs.mujoco_suite import MujocoSuiteEnv, look_at
from worldmodel.envs.suite_env import Array, Verdict, describe, suite_module

__all__ = ["FetchEnv"]

_TASKS = {"reach": "Reach", "push": "Push", "pick_and_place": "PickAndPlace"}


class FetchEnv(MujocoSuiteEnv):
    """Bring the block, or the gripper where there is none, to where the goal image shows it.

    Actions move the gripper by 5 cm a unit, and its fingers, which only move in ``pick_and_place``.
    Success is within 5 cm, as in the suite; strictly, which it does not define, within 2.5 cm.

    Args:
        task: ``reach``, ``push`` or ``pick_and_place``; see `SuiteEnv` for the others.
    """

    tasks = _TASKS

    def __init__(self, task: str, image_size: int = 64, render_mode: str | None = None) -> None:
        self.metadata = _described("opening") if task == "pick_and_place" else _described()
        super().__init__(image_size, render_mode)
        module = f"gymnasium_robotics.envs.fetch.{task}"
        suite = suite_module(module, "pip install 'worldmodel[fetch]'")
        self._env = getattr(suite, f"MujocoFetch{_TASKS[task]}Env")()
        self.has_block, self.fingers_move = self._env.has_object, not self._env.block_gripper
        self.camera = look_at((1.33, 0.72, 0.50), distance=1.1, azimuth=160.0, elevation=-38.0)

    @override
    def dress(self, model: mujoco.MjModel) -> None:
        model.site_rgba[:, 3] = 0.0  # the suite's mark of the goal
        model.geom_rgba[model.geom_bodyid == model.body("robot0:mocap").id, 3] = 0.0  # and of aims

    @override
    def arrange(self) -> None:
        self._env.reset(seed=int(self.np_random.integers(2**31)))
        start, goal = self.snapshot(), self._env.goal
        lifted = not self.has_block or goal[2] > TABLE + 0.05
        self._run(go(self, goal + np.array([0.0, 0.0, 0.0 if lifted else SAFE]), OPEN), 40)
        if self.has_block and not lifted:
            self._place(goal)
        elif self.has_block:
            for _ in range(6):  # held up until the fingers hold it
                self._place(self.gripper())
                self.advance(np.array([0.0, 0.0, 0.0, CLOSE]))
        self.set_goal()
        self.restore(start)

    def _run(self, actions: Iterator[Array], limit: int) -> None:
        for action, _ in zip(actions, range(limit), strict=False):
            self.advance(np.clip(action, -1.0, 1.0))

    def _place(self, xyz: Array) -> None:
        joint = self.physics.data.joint("object0:joint")
        joint.qpos[:], joint.qvel[:] = [*xyz, 1, 0, 0, 0], 0.0
        mujoco.mj_forward(*self.physics)

    @override
    def advance(self, action: NDArray[np.floating[Any]]) -> None:
        self._env._set_action(np.asarray(action, np.float64))
        self._env._mujoco_step(action)
        self._env._step_callback()

    @override
    def proprioception(self) -> Array:
        data = self.physics.data
        fingers = [data.joint(f"robot0:{side}_gripper_finger_joint").qpos[0] for side in "lr"]
        return np.array([*self.gripper(), *([sum(fingers)] if self.fingers_move else [])])

    @override
    def scene(self) -> Array:
        """Where the block is, or without one the gripper, ``[3]`` m."""
        return self._site("object0") if self.has_block else self.gripper()

    @override
    def judge(self, scene: Array, goal: Array) -> Verdict:
        distance = float(np.linalg.norm(scene - goal))
        return Verdict(distance, distance < 0.05, distance < 0.025)

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """Go to random places; push, or carry and drop, the block to others; with noise."""
        return fetch_scripts.explore(self, rng)

    def expert(self) -> Iterator[Array]:
        """Reach, push or carry to the goal; then hold still, and hold what is carried."""
        return fetch_scripts.expert(self, self.goal)

    def gripper(self) -> Array:
        """Where the point between the fingers is, ``[3]`` m."""
        return self._site("robot0:grip")

    def _site(self, name: str) -> Array:
        return np.array(self.physics.data.site(name).xpos)


def _described(*fingers: str) -> dict[str, Any]:
    moves = {"dx": STRIDE, "dy": STRIDE, "dz": STRIDE, "fingers": 1.0}
    states = ["x", "y", "z", *fingers]
    return describe(hz=25, kind="delta", actions=moves, states=states, distance_unit="m")
