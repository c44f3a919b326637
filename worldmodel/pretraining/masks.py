"""Multi-block spatio-temporal masks (V-JEPA 2, section 2.1), of an exact size.

Unlike V-JEPA, whose contexts are cut to the shortest of a batch, every mask here hides exactly the
requested share of tokens: blocks are added until it is reached and the surplus of the last block is
given back. Shapes are then static, and one layout is shared by a group of clips.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.settings import CHECKED, Count, Positive, ProperShare, Share

__all__ = ["BlockMasks", "Mask"]


class Mask(NamedTuple):
    """Token ids (raster order, sorted): what the encoder sees and what is to be predicted."""

    context_ids: Tensor
    target_ids: Tensor

    def to(self, device: torch.device) -> Mask:
        """The same mask on a device."""
        return Mask(self.context_ids.to(device), self.target_ids.to(device))


@dataclass(frozen=True, config=CHECKED)
class BlockMasks:
    """Samples a union of random blocks on a grid of (time, height, width) tokens.

    Attributes:
        grid: Tokens along time, height and width.
        hidden: Share of tokens hidden, in (0, 1).
        scale: Area of one block as a share of the frame.
        aspect: Range of height over width of a block.
        duration: Shortest share of the clip a block spans; 1 makes tubes through the whole clip.
    """

    grid: tuple[Count, Count, Count]
    hidden: ProperShare
    scale: Share = 0.15
    aspect: tuple[Positive, Positive] = (0.75, 1.5)
    duration: Share = 1.0

    def sample(self, rng: np.random.Generator) -> Mask:
        """One mask, ``round(hidden * tokens)`` of its tokens hidden."""
        hidden = np.zeros(self.grid, dtype=bool)
        wanted = min(max(round(self.hidden * hidden.size), 1), hidden.size - 1)
        while (missing := wanted - int(hidden.sum())) > 0:
            block = np.zeros(self.grid, dtype=bool)
            block[self._block(rng)] = True
            fresh = np.flatnonzero(block & ~hidden)
            if len(fresh) > missing:
                fresh = rng.choice(fresh, missing, replace=False)
            hidden.flat[fresh] = True
        flat = torch.from_numpy(hidden.reshape(-1))
        return Mask((~flat).nonzero().squeeze(1), flat.nonzero().squeeze(1))

    def _block(self, rng: np.random.Generator) -> tuple[slice, slice, slice]:
        time, height, width = self.grid
        aspect = np.exp(rng.uniform(*np.log(self.aspect)))
        area = self.scale * height * width
        sizes = (
            round(time * rng.uniform(self.duration, 1)),
            round(np.sqrt(area * aspect)),
            round(np.sqrt(area / aspect)),
        )
        slices: list[slice] = []
        for size, extent in zip(sizes, self.grid, strict=True):
            size = min(max(int(size), 1), extent)
            start = int(rng.integers(extent - size + 1))
            slices.append(slice(start, start + size))
        return slices[0], slices[1], slices[2]
