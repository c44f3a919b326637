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
    """Cosines and sines ``[..., 1, tokens, head_dim]``, broadcast over the attention heads."""

    cos: Tensor
    sin: Tensor


def token_positions(token_ids: Tensor, height: int, width: int) -> Tensor:
    """(time, row, column) of tokens given in raster order, ``[..., n]`` to ``[..., n, 3]``."""
    per_frame = height * width
    time, place = token_ids // per_frame, token_ids % per_frame
    return torch.stack((time, place // width, place % width), dim=-1)


def rotation_table(positions: Tensor, head_dim: int, *, tiled: bool = False) -> Rotation:
    """Cosines and sines for positions ``[..., tokens, 3]``.

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
    angles = torch.cat((angles, angles), -1) if tiled else angles.repeat_interleave(2, dim=-1)
    angles = F.pad(angles.flatten(-2), (0, head_dim - 3 * part)).unsqueeze(-3)
    return Rotation(angles.cos(), angles.sin())


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate neighbouring channel pairs of queries or keys ``[B, heads, tokens, head_dim]``."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    quarter_turn = torch.stack((-odd, even), dim=-1).flatten(-2)
    return x * rotation.cos.to(x.dtype) + quarter_turn * rotation.sin.to(x.dtype)
