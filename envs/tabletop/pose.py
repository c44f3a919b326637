"""End-effector poses in numpy: extrinsic-xyz Euler angles, and how an action changes a pose.

A pose (state) is ``[x, y, z, roll, pitch, yaw, closedness]`` in metres, radians and [0, 1]; an
action is the change of each per control step, as in DROID and V-JEPA 2-AC.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "compose", "euler_to_matrix", "matrix_to_euler"]

Array = NDArray[np.float64]


def euler_to_matrix(euler: Array) -> Array:
    """Rotation matrix ``[3, 3]`` of extrinsic-xyz Euler angles ``[3]`` (radians)."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(euler), np.sin(euler)
    return np.array(
        [
            [cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa],
            [sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa],
            [-sb, cb * sa, cb * ca],
        ]
    )


def matrix_to_euler(matrix: Array) -> Array:
    """Extrinsic-xyz Euler angles ``[3]`` in (-pi, pi] of a rotation matrix ``[3, 3]``."""
    return np.array(
        [
            np.arctan2(matrix[2, 1], matrix[2, 2]),
            -np.arcsin(np.clip(matrix[2, 0], -1.0, 1.0)),
            np.arctan2(matrix[1, 0], matrix[0, 0]),
        ]
    )


def compose(pose: Array, action: Array) -> Array:
    """The pose ``[7]`` that an action ``[7]`` commands: rotations composed, closedness clipped.

    The action's rotation is about the fixed world axes, so it multiplies from the left.
    """
    rotation = euler_to_matrix(action[3:6]) @ euler_to_matrix(pose[3:6])
    closedness = np.clip(pose[6:] + action[6:], 0.0, 1.0)
    return np.concatenate([pose[:3] + action[:3], matrix_to_euler(rotation), closedness])
