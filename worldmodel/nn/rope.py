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
    """How channel pairs turn, in two forms; each is broadcast over the attention heads.

    Attributes:
        turn: Read as complex numbers z, pairs become ``turn * z + mirror * conj(z)``; float32
            ``[..., 1, tokens, head_dim / 2, 2]``, real and imaginary.
        mirror: Likewise; None where pairs turn by a single angle.
        own: Read as real numbers, each becomes ``own`` times itself plus ``other`` times the other
            one of its pair; shaped alike.
        other: Likewise.
    """

    turn: Tensor
    mirror: Tensor | None
    own: Tensor
    other: Tensor


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
        return _rotation(_per_head(turn, head_dim, 1.0), _per_head(mirror, head_dim, 0.0))
    return _rotation(_per_head(_unit(angles), head_dim, 1.0), None)


def rotate(x: Tensor, rotation: Rotation, *, overwrite: bool = False) -> Tensor:
    """Rotate neighbouring channel pairs of queries or keys ``[..., B, heads, tokens, head_dim]``.

    Args:
        x: What to rotate.
        rotation: By how much.
        overwrite: Nobody needs ``x`` itself any more, nor gradients.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return _rotate_pairs(x, rotation)
    # One complex product touches memory, which bounds it on a CPU, less often than real ones do.
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    turn = torch.view_as_complex(rotation.turn)
    if rotation.mirror is not None:
        turned = turn * pairs + torch.view_as_complex(rotation.mirror) * pairs.conj()
    else:
        turned = pairs.mul_(turn) if overwrite else turn * pairs
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


def _rotate_pairs(x: Tensor, rotation: Rotation) -> Tensor:
    """In real numbers: a compiler makes one kernel of them, and none of complex ones."""
    pairs = x.float().unflatten(-1, (-1, 2))
    turned = rotation.own * pairs + rotation.other * pairs.flip(-1)
    return turned.to(x.dtype).flatten(-2)


def _rotation(turn: Tensor, mirror: Tensor | None) -> Rotation:
    real, imaginary = turn.unbind(-1)
    own, other = torch.stack((real, real), -1), torch.stack((-imaginary, imaginary), -1)
    if mirror is not None:
        real, imaginary = mirror.unbind(-1)
        own = own + torch.stack((real, -real), -1)
        other = other + torch.stack((imaginary, imaginary), -1)
    return Rotation(turn, mirror, own, other)


def _unit(angles: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(angles), angles)


def _per_head(axes: Tensor, head_dim: int, rest: float) -> Tensor:
    """``[..., n, 3, pairs]`` to ``[..., 1, n, head_dim / 2, 2]``; what is left over is ``rest``."""
    flat = axes.flatten(-2)
    padded = F.pad(flat, (0, head_dim // 2 - flat.shape[-1]), value=rest).unsqueeze(-3)
    return torch.view_as_real(padded)
