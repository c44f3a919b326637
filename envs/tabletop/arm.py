"""The arm: end-effector poses in, joint servo targets out."""

from __future__ import annotations

import mujoco
import numpy as np

from worldmodel.envs.tabletop.pose import Array, euler_to_matrix, matrix_to_euler

__all__ = ["HOME_JOINTS", "Arm"]

HOME_JOINTS = np.array([0.0, -0.4, 0.0, -2.4, 0.0, 2.0, 0.7854])

_FINGER_TRAVEL = 0.04  # m, each finger
_DAMPING = 0.03  # of the least squares; larger is steadier near singularities
_POSTURE_GAIN = 0.05  # pull of the redundant joint towards HOME_JOINTS


class Arm:
    """Reads the tool's pose and finds joint angles for a wanted one.

    Inverse kinematics are damped least squares (Wampler 1986; Nakamura and Hanafusa 1986) with a
    posture task in the null space. They run on a scratch copy of the simulator's state, so that
    solving never disturbs the simulation.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._scratch = mujoco.MjData(model)
        self._tool = model.site("tool").id
        joints = [model.joint(f"joint{i}") for i in range(1, 8)]
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._dofs = np.array([joint.dofadr[0] for joint in joints])
        self._fingers = np.array([model.joint(f"finger_{s}").qposadr[0] for s in ("left", "right")])
        self._range = np.array([joint.range for joint in joints])
        self._jacobian = np.zeros((6, model.nv))

    def pose(self, data: mujoco.MjData) -> Array:
        """Measured pose ``[7]``: xyz (m), extrinsic-xyz Euler (rad), closedness in [0, 1]."""
        matrix = data.site_xmat[self._tool].reshape(3, 3)
        opening = data.qpos[self._fingers].mean() / _FINGER_TRAVEL
        closedness = np.clip(1.0 - opening, 0.0, 1.0)
        return np.concatenate([data.site_xpos[self._tool], matrix_to_euler(matrix), [closedness]])

    def joints(self, data: mujoco.MjData) -> Array:
        """Joint angles ``[7]`` (rad)."""
        return data.qpos[self._qpos].copy()

    def place(self, data: mujoco.MjData, pose: Array) -> None:
        """Put the arm at a pose at once, at rest, without simulating the way there."""
        data.qpos[self._qpos] = self.solve(HOME_JOINTS, pose, iterations=100)
        data.qpos[self._fingers] = (1.0 - pose[6]) * _FINGER_TRAVEL
        data.qvel[self._dofs] = 0.0
        data.ctrl[:7] = data.qpos[self._qpos]
        data.ctrl[7] = (1.0 - pose[6]) * _FINGER_TRAVEL
        mujoco.mj_forward(self._model, data)

    def solve(self, start: Array, pose: Array, iterations: int = 12) -> Array:
        """Joint angles ``[7]`` near ``start`` whose tool pose is as close to ``pose`` as can be."""
        scratch, joints = self._scratch, start.copy()
        wanted = euler_to_matrix(pose[3:6])
        error = np.empty(6)
        for _ in range(iterations):
            scratch.qpos[self._qpos] = joints
            mujoco.mj_kinematics(self._model, scratch)
            mujoco.mj_comPos(self._model, scratch)
            matrix = scratch.site_xmat[self._tool].reshape(3, 3)
            error[:3] = pose[:3] - scratch.site_xpos[self._tool]
            error[3:] = 0.5 * np.cross(matrix, wanted, axis=0).sum(axis=1)
            if np.abs(error).max() < 1e-4:
                break
            mujoco.mj_jacSite(
                self._model, scratch, self._jacobian[:3], self._jacobian[3:], self._tool
            )
            jacobian = self._jacobian[:, self._dofs]
            inverse = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + _DAMPING**2 * np.eye(6))
            posture = _POSTURE_GAIN * (HOME_JOINTS - joints)
            joints += inverse @ error + posture - inverse @ (jacobian @ posture)
            joints = np.clip(joints, self._range[:, 0], self._range[:, 1])
        return joints

    def command(self, data: mujoco.MjData, joints: Array, closedness: float) -> None:
        """Set the servo targets: joint angles ``[7]`` (rad) and the gripper's closedness."""
        data.ctrl[:7] = joints
        data.ctrl[7] = (1.0 - closedness) * _FINGER_TRAVEL
