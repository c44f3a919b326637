"""A closer look: what a grid of tokens shows around one place of it, as a few numbers.

A place says where a thing is, and not how it is turned. Of a small thing that shows in a few pixels
only, which the drawing of a whole frame leaves out.

Shapes: R rows, grids of side² tokens of width D, G numbers of a glimpse.
"""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor, nn

from worldmodel.nn.mlp import mlp

__all__ = ["GlimpseReader", "nearby", "within"]


def nearby(grids: Tensor, places: Tensor) -> Tensor:
    """The nine tokens ``[R, 9 D]`` of ``[R, side², D]`` around places ``[R, 2]`` in [-1, 1]."""
    side = isqrt(grids.shape[1])
    line = torch.arange(-1, 2, device=grids.device)
    cells = _cells(places, side)[:, None] + torch.cartesian_prod(line, line)
    rows = torch.arange(len(grids), device=grids.device)[:, None]
    return grids[rows, cells[..., 0] * side + cells[..., 1]].flatten(1)


def within(places: Tensor, side: int) -> Tensor:
    """Places, and where they lie in the middle one of these tokens, ``[R, 4]``."""
    return torch.cat([places, _steps(places, side) - _cells(places, side)], -1)


def _cells(places: Tensor, side: int) -> Tensor:
    """The cells that places lie in, or the next ones that are not at an edge."""
    return _steps(places, side).round().long().clamp(1, side - 2)


def _steps(places: Tensor, side: int) -> Tensor:
    """Places in cells from the first one."""
    return (places + 1) * ((side - 1) / 2)


class GlimpseReader(nn.Module):
    """What is around a place, in numbers that all vary as much as a place does together.

    Args:
        token_width: D.
        hidden: Width of its layers.
        numbers: G.
    """

    def __init__(self, token_width: int, hidden: int, numbers: int) -> None:
        super().__init__()
        self.read = mlp(9 * token_width + 4, hidden, 2, numbers)
        self.centre: Tensor
        self.spread: Tensor
        self.register_buffer("centre", torch.zeros(numbers))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, tokens: Tensor, place: Tensor) -> Tensor:
        """Glimpses ``[R, G]`` of `nearby` tokens and of where that is, as of `within`."""
        read: Tensor = self.read(torch.cat([tokens, place], -1))
        return (read - self.centre) / self.spread

    @torch.no_grad()
    def fit(self, tokens: Tensor, place: Tensor) -> None:
        """Bring what is read to one scale; arguments as of `forward`."""
        self.centre.zero_()
        self.spread.fill_(1.0)
        read = self(tokens, place)
        self.centre.copy_(read.mean(0))
        self.spread.copy_((read.var(0).sum() / 2).sqrt().clamp(min=1e-6))
