"""Rotary position embedding over (time, height, width), as V-JEPA 2 lays it out.

Each head is split into three equal parts of ``2 * ((head_dim // 3) // 2)`` channels, rotated by the
token's time, row and column; what is left over stays unrotated. Angles are computed in float32
with base 10000.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Rotation", "grid_positions", "rotate", "rotation_table"]


class Rotation(NamedTuple):
    """Cosines and sines ``[..., tokens, head_dim]``, broadcast against queries and keys."""

    cos: Tensor
    sin: Tensor

    def select(self, token_ids: Tensor) -> Rotation:
        """Rows of some tokens: ids ``[n]`` shared by the batch, or ``[B, n]`` one row each."""
        cos, sin = self.cos[token_ids], self.sin[token_ids]
        if token_ids.ndim == 2:
            cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        return Rotation(cos, sin)


def grid_positions(time: int, height: int, width: int, device: torch.device | None = None) -> Tensor:
    """(time, row, column) of every token of a grid in raster order, ``[time*height*width, 3]``."""
    axes = [torch.arange(size, device=device) for size in (time, height, width)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 2).float()


def rotation_table(positions: Tensor, head_dim: int, *, tiled: bool = False) -> Rotation:
    """Cosines and sines for positions ``[tokens, 3]``.

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
    frequencies = 10000.0 ** -(torch.arange(part // 2, device=positions.device).float() * 2 / part)
    angles = positions.float().unsqueeze(-1) * frequencies
    angles = angles.repeat(1, 1, 2) if tiled else angles.repeat_interleave(2, dim=-1)
    angles = torch.nn.functional.pad(angles.flatten(1), (0, head_dim - 3 * part))
    return Rotation(angles.cos(), angles.sin())


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate neighbouring channel pairs of queries or keys ``[B, heads, tokens, head_dim]``."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    quarter_turn = torch.stack((-odd, even), dim=-1).flatten(-2)
    return x * rotation.cos.to(x.dtype) + quarter_turn * rotation.sin.to(x.dtype)
