"""End-effector poses in torch, batched: how an action changes a pose, and back.

A pose is ``[x, y, z, roll, pitch, yaw, closedness]``: metres, extrinsic-xyz Euler angles in rad and
[0, 1]. An action is the change of each in one control step, as in DROID and V-JEPA 2-AC
(arXiv:2506.09985, §3.1). Rotations are composed, never added.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["compose", "difference", "euler_to_matrix", "matrix_to_euler", "summed", "travelled"]


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
    anywhere = pose.new_full((3,), torch.inf)
    return travelled(pose, action.unsqueeze(-2), -anywhere, anywhere)[..., 1, :]


def travelled(pose: Tensor, actions: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """The poses ``[..., H + 1, 7]`` that actions ``[..., H, 7]`` lead through, the start included.

    As `compose` one by one would, but that angles are converted once for all steps and positions
    stay within bounds.

    Args:
        pose: Start, ``[..., 7]``.
        actions: Of each step.
        lowest: Of positions, ``[3]``; where an action leads beyond, the position stops.
        highest: Likewise.
    """
    turned = [euler_to_matrix(pose[..., 3:6])]
    for turn in euler_to_matrix(actions[..., 3:6]).unbind(-3):
        turned.append(_product(turn, turned[-1]))
    angles = matrix_to_euler(torch.stack(turned, -3))[..., 1:, :]
    angles = torch.cat([pose[..., None, 3:6], angles], -2)
    place = summed(
        _without_angles(pose),
        _without_angles(actions),
        F.pad(lowest, (0, 1), value=0.0),
        F.pad(highest, (0, 1), value=1.0),
    )
    return torch.cat([place[..., :3], angles, place[..., 3:]], -1)


def summed(start: Tensor, changes: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """``[..., H + 1, P]``: ``start [..., P]`` and what changes ``[..., H, P]`` make of it in turn.

    Each sum is kept within ``lowest`` and ``highest``, ``[P]``, before the next.
    """
    path = [start]
    for change in changes.unbind(-2):
        path.append((path[-1] + change).clamp(lowest, highest))
    return torch.stack(path, -2)


def difference(pose: Tensor, following: Tensor) -> Tensor:
    """The action ``[..., 7]`` that leads from one pose ``[..., 7]`` to the following one."""
    rotation = _product(euler_to_matrix(following[..., 3:6]), euler_to_matrix(pose[..., 3:6]).mT)
    moved = following - pose
    return torch.cat([moved[..., :3], matrix_to_euler(rotation), moved[..., 6:]], -1)


def _without_angles(pose: Tensor) -> Tensor:
    return torch.cat([pose[..., :3], pose[..., 6:]], -1)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right`` of ``[..., 3, 3]``, which autocast would round to half precision."""
    return (left.unsqueeze(-1) * right.unsqueeze(-3)).sum(-2)
