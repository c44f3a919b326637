"""Reacher of dm_control: turn a two-joint arm into the posture of the goal image.

Starts and goals are random postures at rest. The suite's target, reward and termination are left
out: the goal image says what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from worldmodel.envs.mujoco_suite import MujocoSuiteEnv, Physics
from worldmodel.envs.suite_env import Array, Verdict, describe, suite_module

__all__ = ["ReacherEnv"]

_WRIST = 2.79  # rad, the joint's limit
_STIFFNESS, _DAMPING = 2.0, 0.1  # of the controller, in torque per rad and per rad/s
_HELD = 5  # steps of a script's torque, so that it is exact where actions are held as long


class ReacherEnv(MujocoSuiteEnv):
    """Match the joints of the goal image.

    Actions are torques as shares of the motors' largest, 0.05 Nm. Success is both joints within
    0.05 rad, the shoulder by the shorter way round; strictly, the fingertip within 1 cm.
    """

    metadata = describe(
        hz=50,
        kind="torque",
        actions={"shoulder": 0.05, "wrist": 0.05},
        states=["shoulder", "wrist", "shoulder_velocity", "wrist_velocity"],
        distance_unit="rad",
        periodic=["shoulder"],
        hidden=["shoulder_velocity", "wrist_velocity"],
    )
    camera = "fixed"
    strict_steps = 2

    def __init__(self, image_size: int = 64, render_mode: str | None = None) -> None:
        super().__init__(image_size, render_mode)
        suite = suite_module("dm_control.suite.reacher", "pip install 'worldmodel[reacher]'")
        self._suite = suite.Physics.from_xml_string(*suite.get_model_and_assets())

    @property
    @override
    def physics(self) -> Physics:
        return Physics(self._suite.model.ptr, self._suite.data.ptr)

    @override
    def dress(self, model: mujoco.MjModel) -> None:
        model.geom("target").rgba[3] = 0.0

    @override
    def arrange(self) -> None:
        mujoco.mj_resetData(*self.physics)
        self._place(_posture(self.np_random))
        self.set_goal()
        self._place(_posture(self.np_random))

    def _place(self, joints: Array) -> None:
        self.physics.data.qpos[:] = joints
        mujoco.mj_forward(*self.physics)

    @override
    def advance(self, action: NDArray[np.floating[Any]]) -> None:
        self._suite.set_control(action)
        self._suite.step()

    @override
    def proprioception(self) -> Array:
        data = self.physics.data
        return np.concatenate([_wrapped(data.qpos), data.qvel])

    @override
    def scene(self) -> Array:
        """Joints ``[2]`` (rad), and where the fingertip is ``[2]`` (m)."""
        tip = self.physics.data.geom("finger").xpos[:2]
        return np.concatenate([self.physics.data.qpos, tip])

    @override
    def judge(self, scene: Array, goal: Array) -> Verdict:
        turn = np.abs(_wrapped(goal[:2] - scene[:2])).max()
        missed = float(np.linalg.norm(goal[2:] - scene[2:]))
        return Verdict(float(turn), bool(turn < 0.05), missed <= 0.01)

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """Smooth random torques, and now and then a controller on its way to a random posture."""
        while True:
            posture, strength = _posture(rng), rng.uniform(0.2, 1.0)
            steered, torque = rng.random() < 0.5, np.zeros(2)
            for _ in range(int(rng.integers(3, 13))):
                torque = 0.6 * torque + 0.8 * strength * rng.standard_normal(2)
                aim = strength * self._control(posture) + 0.3 * torque if steered else torque
                yield from repeat(np.clip(aim, -1.0, 1.0), _HELD)

    def expert(self) -> Iterator[Array]:
        """A proportional-derivative controller; at the goal, it holds still."""
        while True:
            yield from repeat(self._control(self.goal[:2]), _HELD)

    def _control(self, posture: Array) -> Array:
        data = self.physics.data
        torque = _STIFFNESS * _wrapped(posture - data.qpos) - _DAMPING * data.qvel
        return np.clip(torque, -1.0, 1.0)


def _wrapped(joints: Array) -> Array:
    """The joints, the shoulder's angle in [-pi, pi)."""
    return np.array([(joints[0] + np.pi) % (2 * np.pi) - np.pi, joints[1]])


def _posture(rng: np.random.Generator) -> Array:
    return np.array([rng.uniform(-np.pi, np.pi), rng.uniform(-_WRIST, _WRIST)])
