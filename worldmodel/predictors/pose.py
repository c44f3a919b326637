"""End-effector poses in torch, batched: how an action changes a pose, and back.

A pose is ``[x, y, z, roll, pitch, yaw, closedness]``: metres, extrinsic-xyz Euler angles in rad and
[0, 1]. An action is the change of each in one control step, as in DROID and V-JEPA 2-AC
(arXiv:2506.09985, §3.1). Rotations are composed, never added.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["compose", "difference", "euler_to_matrix", "matrix_to_euler"]


def euler_to_matrix(euler: Tensor) -> Tensor:
    """Rotation matrices ``[..., 3, 3]`` of extrinsic-xyz Euler angles ``[..., 3]``."""
    (sa, sb, sc), (ca, cb, cc) = euler.sin().unbind(-1), euler.cos().unbind(-1)
    rows = [
        torch.stack([cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa], -1),
        torch.stack([sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa], -1),
        torch.stack([-sb, cb * sa, cb * ca], -1),
    ]
    return torch.stack(rows, -2)


def matrix_to_euler(matrix: Tensor) -> Tensor:
    """Extrinsic-xyz Euler angles ``[..., 3]`` in (-pi, pi] of ``[..., 3, 3]``."""
    roll = torch.atan2(matrix[..., 2, 1], matrix[..., 2, 2])
    pitch = -torch.asin(matrix[..., 2, 0].clamp(-1.0, 1.0))
    yaw = torch.atan2(matrix[..., 1, 0], matrix[..., 0, 0])
    return torch.stack([roll, pitch, yaw], -1)


def compose(pose: Tensor, action: Tensor) -> Tensor:
    """The pose ``[..., 7]`` that an action ``[..., 7]`` leads to; closedness is clipped to [0, 1].

    The action's rotation is about the fixed world axes, so it multiplies from the left.
    """
    rotation = _product(euler_to_matrix(action[..., 3:6]), euler_to_matrix(pose[..., 3:6]))
    closedness = (pose[..., 6:] + action[..., 6:]).clamp(0.0, 1.0)
    return torch.cat([pose[..., :3] + action[..., :3], matrix_to_euler(rotation), closedness], -1)


def difference(pose: Tensor, following: Tensor) -> Tensor:
    """The action ``[..., 7]`` that leads from one pose ``[..., 7]`` to the following one."""
    rotation = _product(euler_to_matrix(following[..., 3:6]), euler_to_matrix(pose[..., 3:6]).mT)
    moved = following - pose
    return torch.cat([moved[..., :3], matrix_to_euler(rotation), moved[..., 6:]], -1)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right`` of ``[..., 3, 3]``, which autocast would round to half precision."""
    return (left.unsqueeze(-1) * right.unsqueeze(-3)).sum(-2)
