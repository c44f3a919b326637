"""Moments of the data that a model remembers, to retrieve sub-goals from and to show them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["APART", "Memory"]

APART = 2
"""Imagined steps between moments of an episode that are remembered."""


class Memory(nn.Module):
    """Planning latents of some frames, and which frames they are.

    Args:
        size: Most frames that are remembered.
        latent: Z, width of a planning latent.
    """

    def __init__(self, size: int, latent: int) -> None:
        super().__init__()
        self.latents: Tensor
        self.rows: Tensor
        self.count: Tensor
        self.register_buffer("latents", torch.zeros(size, latent))
        self.register_buffer("rows", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("count", torch.tensor(0))

    def fill(self, latents: Tensor, rows: Tensor) -> None:
        """Remember latents ``[R, Z]`` of rows ``[R]`` of the data, and nothing else."""
        self.latents.zero_()[: len(rows)] = latents
        self.rows.zero_()[: len(rows)] = rows
        self.count.fill_(len(rows))

    def speed(self, stride: int) -> Tensor:
        """How latents change in an imagined step of ``stride`` frames, ``[R, Z]``."""
        latents, rows = self.recall()
        apart = APART * stride
        return latents.diff(dim=0)[rows.diff() == apart] / APART

    def recall(self) -> tuple[Tensor, Tensor]:
        """The latents ``[R, Z]`` and the rows ``[R]``."""
        count = int(self.count)
        return self.latents[:count], self.rows[:count]
