"""Rotary position embedding over (time, height, width), as V-JEPA 2 lays it out.

Each head is split into three equal parts of ``2 * ((head_dim // 3) // 2)`` channels, rotated by the
token's time, row and column; what is left over stays unrotated. Angles are computed in float32
with base 10000.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Rotation", "rotate", "rotation_table", "token_positions"]


class Rotation(NamedTuple):
    """How channel pairs, read as complex numbers z, are turned: ``turn * z + mirror * conj(z)``.

    One complex product touches memory, which bounds it on a CPU, less often than the textbook
    ``x * cos + rotate_half(x) * sin``. Both parts are ``complex64 [..., 1, tokens, head_dim / 2]``,
    broadcast over the attention heads; ``mirror`` is None where pairs turn by a single angle.
    """

    turn: Tensor
    mirror: Tensor | None = None


def token_positions(token_ids: Tensor, height: int, width: int) -> Tensor:
    """(time, row, column) of tokens given in raster order, ``[..., n]`` to ``[..., n, 3]``."""
    per_frame = height * width
    time, place = token_ids // per_frame, token_ids % per_frame
    return torch.stack((time, place // width, place % width), dim=-1)


def rotation_table(positions: Tensor, head_dim: int, *, tiled: bool = False) -> Rotation:
    """How channel pairs turn at positions ``[..., tokens, 3]``; see ``Rotation``.

    Args:
        positions: Time, row and column of each token.
        head_dim: Channels per attention head, at least 6.
        tiled: Lay the frequencies out as ``[f0..fn, f0..fn]`` instead of ``[f0, f0, f1, f1, ..]``.
            Neighbouring channels are rotated as pairs, so the interleaved layout is the correct
            one; Meta's released V-JEPA 2 weights were trained with the tiled one and need it.
    """
    part = 2 * ((head_dim // 3) // 2)
    if part == 0:
        raise ValueError(f"Expected a head width of at least 6 for 3-D RoPE, got {head_dim}.")
    frequencies = 10000.0 ** -(torch.arange(0, part, 2, device=positions.device).float() / part)
    angles = positions.float().unsqueeze(-1) * frequencies
    if tiled:
        angles = torch.cat((angles, angles), -1)
        even, odd = angles[..., ::2], angles[..., 1::2]
        turn, mirror = (_unit(even) + _unit(odd)) / 2, (_unit(-even) - _unit(-odd)) / 2
        return Rotation(_per_head(turn, head_dim, 1.0), _per_head(mirror, head_dim, 0.0))
    return Rotation(_per_head(_unit(angles), head_dim, 1.0))


def rotate(x: Tensor, rotation: Rotation, *, overwrite: bool = False) -> Tensor:
    """Rotate neighbouring channel pairs of queries or keys ``[..., B, heads, tokens, head_dim]``.

    Args:
        x: What to rotate.
        rotation: By how much.
        overwrite: Nobody needs ``x`` itself any more, nor gradients.
    """
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    if rotation.mirror is not None:
        turned = rotation.turn * pairs + rotation.mirror * pairs.conj()
    else:
        turned = pairs.mul_(rotation.turn) if overwrite else rotation.turn * pairs
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


def _unit(angles: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(angles), angles)


def _per_head(axes: Tensor, head_dim: int, rest: float) -> Tensor:
    """``[..., n, 3, pairs]`` to ``[..., 1, n, head_dim / 2]``; channels left over get ``rest``."""
    flat = axes.flatten(-2)
    return F.pad(flat, (0, head_dim // 2 - flat.shape[-1]), value=rest).unsqueeze(-3)
