"""Fetch of gymnasium-robotics: reach a place, push a block, or pick it up and place it.

Starts and goals are the suite's. The goal image shows the real scene at the goal: the gripper is
driven there, and holds the block if that is in the air, or is above it; then all is undone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from worldmodel.envs.mujoco_suite import MujocoSuiteEnv, Physics
from worldmodel.envs.suite_env import Array, Verdict, suite_module

__all__ = ["TASKS", "FetchEnv", "make"]

TASKS = {"reach": "Reach", "push": "Push", "pick_and_place": "PickAndPlace"}
_STRIDE, _HALF, _SAFE = 0.05, 0.025, 0.12  # m: of an action, half a block, above what is passed over
_LOW, _HIGH = np.array([1.15, 0.55, 0.43]), np.array([1.50, 0.95, 0.65])  # m, where to explore
_OPEN, _CLOSE = 1.0, -1.0


class FetchEnv(MujocoSuiteEnv):
    """Bring the block, or the gripper where there is none, to where the goal image shows it.

    Actions move the gripper by 5 cm a unit, and its fingers where they can move. Success is within
    5 cm, as in the suite; strictly, which the suite does not define, within 2.5 cm.

    Args:
        task: ``reach``, ``push`` or ``pick_and_place``.
        image_size: Side of the square images, pixels.
        render_mode: ``rgb_array`` or None.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  (as gymnasium declares it)
        "render_modes": ["rgb_array"],
        "render_fps": 25,
        "actions": {
            "names": ["dx", "dy", "dz", "fingers"],
            "kind": "delta",
            "rest": [0.0] * 4,
            "scale": [_STRIDE] * 3 + [1.0],
        },
        "states": {
            "names": ["x", "y", "z", "opening"],
            "kind": "generic",
            "periodic": [],
            "half_turn": [],
            "hidden": [],
        },
        "distance_unit": "m",
    }

    def __init__(self, task: str, image_size: int = 64, render_mode: str | None = None) -> None:
        super().__init__(image_size, render_mode)
        module = f"gymnasium_robotics.envs.fetch.{task}"
        suite = suite_module(module, "pip install 'worldmodel[fetch]'")
        self._env: Any = getattr(suite, f"MujocoFetch{TASKS[task]}Env")()
        self._env.model.site_rgba[:, 3] = 0.0  # the suite's mark of the goal
        self.camera = mujoco.MjvCamera()
        self.camera.lookat[:] = [1.33, 0.75, 0.52]
        self.camera.distance, self.camera.azimuth, self.camera.elevation = 1.1, 150.0, -35.0
        self._goal = np.zeros(3)

    @property
    @override
    def physics(self) -> Physics:
        return Physics(self._env.model, self._env.data)

    @override
    def arrange(self) -> None:
        self._env.reset(seed=int(self.np_random.integers(2**31)))
        start, goal = self.snapshot(), self._env.goal
        if self._env.has_object:
            lifted = goal[2] > self._env.height_offset + 0.05
            self._run(self._go(goal + [0, 0, 0 if lifted else _SAFE], _OPEN), 40)
            self._place(goal)
            self._run(self._rest(_CLOSE), 4 if lifted else 0)
        else:
            self._run(self._go(goal), 40)
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
        return np.array([*self._gripper(), sum(fingers)])

    @override
    def mark_goal(self) -> None:
        self._goal = self._moved()

    @override
    def verdict(self) -> Verdict:
        distance = float(np.linalg.norm(self._moved() - self._goal))
        return Verdict(distance, distance < 0.05, distance < 0.025)

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """Go to random places; push, or carry and drop, the block to others; with noise."""
        while True:
            speed, noise = rng.uniform(0.4, 1.0), 0.5 * rng.random() ** 2
            target, drift = rng.uniform(_LOW, _HIGH), np.zeros(3)
            solving = self._env.has_object and rng.random() < 0.7
            fingers = 0.0 if self._env.block_gripper else rng.choice([_OPEN, _CLOSE])
            actions = self._solve(target) if solving else self._go(target, fingers)
            release = self._go(rng.uniform([*_LOW[:2], 0.5], _HIGH), _OPEN)
            for action in chain(islice(actions, 40), islice(release, 10 if solving else 0)):
                drift = 0.7 * drift + noise * rng.standard_normal(3)
                action[:3] = speed * action[:3] + drift
                yield np.clip(action, -1.0, 1.0)

    def expert(self) -> Iterator[Array]:
        """Reach, push or carry to the goal; then hold still, and hold what is carried."""
        for action in self._solve(self._goal):
            yield np.clip(action, -1.0, 1.0)
        while True:
            yield np.array([0.0, 0.0, 0.0, 0.0 if self._env.block_gripper else _CLOSE])

    def _solve(self, goal: Array) -> Iterator[Array]:
        if not self._env.has_object:
            yield from self._go(goal)
        elif self._env.block_gripper:
            for _ in range(3):
                yield from self._push(goal)
        else:
            above = np.array([0.0, 0.0, 0.08])
            yield from self._go(self._moved() + above, _OPEN)
            yield from self._go(self._moved(), _OPEN)
            for _ in range(3):
                yield np.array([0.0, 0.0, 0.0, _CLOSE])
            yield from self._go(goal, _CLOSE)

    def _go(self, xyz: Array, fingers: float = 0.0, tolerance: float = 0.01) -> Iterator[Array]:
        """Straight to a place (m)."""
        while np.linalg.norm(offset := xyz - self._gripper()) > tolerance:
            reach = np.abs(offset).max() / _STRIDE
            yield np.array([*(offset / _STRIDE / max(1.0, reach)), fingers])

    def _push(self, goal: Array) -> Iterator[Array]:
        """Over the block, down behind it, then straight on."""
        offset = (goal - self._moved())[:2]
        if np.linalg.norm(offset) < 0.015:
            return
        along = np.array([*offset / np.linalg.norm(offset), 0.0])
        table = self._env.height_offset
        behind = self._moved() - 0.08 * along
        for height in (table + _SAFE, table):
            yield from self._go(np.array([*behind[:2], height]), tolerance=0.02)
        for _ in range(25):
            block = self._moved()
            if (remaining := (goal - block) @ along) < 0.01:
                return
            contact = block - (_HALF + 0.01) * along + min(remaining, 0.04) * along
            slip = (goal - block) - remaining * along
            target = np.array([*(contact - 0.5 * slip)[:2], table])
            yield np.array([*((target - self._gripper()) / _STRIDE), 0.0])

    def _gripper(self) -> Array:
        return np.array(self.physics.data.site("robot0:grip").xpos)

    def _moved(self) -> Array:
        """Where the block is, or without one the gripper, ``[3]`` m."""
        name = "object0" if self._env.has_object else "robot0:grip"
        return np.array(self.physics.data.site(name).xpos)

    def _rest(self, fingers: float) -> Iterator[Array]:
        while True:
            yield np.array([0.0, 0.0, 0.0, fingers])


def make(task: str = "", *, image_size: int = 64, render_mode: str | None = None) -> FetchEnv:
    """The environment of a task among `TASKS`."""
    if task not in TASKS:
        names = ", ".join(f"fetch:{name}" for name in TASKS)
        raise ValueError(f"Expected a task among {names}, got {task!r}")
    return FetchEnv(task, image_size, render_mode)
