"""Multi-block masks of images (I-JEPA, arXiv:2301.08243, section 3 and appendix A.1).

A few target blocks are to be predicted, each on its own, from one large context block without them.
Blocks of a kind have one size within a batch, as in the paper, so that shapes are equal; where they
lie is drawn anew for every image. Contexts are cut to the shortest of the batch by a random choice
of their tokens; the released code keeps their first rows.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.settings import CHECKED, Count, Positive, Share

__all__ = ["Blocks", "ImageMask", "ImageMasks"]

Blocks = Annotated[int, Field(ge=1, le=64)]
"""Blocks of an image."""

_Ids = npt.NDArray[np.int64]


class ImageMask(NamedTuple):
    """Token ids in raster order, of B images.

    Attributes:
        context_ids: What the encoder sees, ``[B, n]``, sorted.
        target_ids: What is to be predicted, M blocks apart, ``[B, M, m]``, sorted.
    """

    context_ids: Tensor
    target_ids: Tensor

    def to(self, device: torch.device) -> ImageMask:
        """The same mask on a device."""
        return ImageMask(self.context_ids.to(device), self.target_ids.to(device))


@dataclass(frozen=True, config=CHECKED)
class ImageMasks:
    """Samples context and targets on a square grid of tokens.

    Attributes:
        grid: Tokens along one side of an image.
        targets: M, target blocks per image; they may overlap.
        target_scale: Least and largest area of one, as a share of the image.
        target_aspect: Least and largest height over width of one.
        context_scale: Least and largest area of the square context block, before the targets are
            taken out of it.

    Raises:
        ValueError: A range ends below where it begins.
    """

    grid: Count
    targets: Blocks = 4
    target_scale: tuple[Share, Share] = (0.15, 0.2)
    target_aspect: tuple[Positive, Positive] = (0.75, 1.5)
    context_scale: tuple[Share, Share] = (0.85, 1.0)

    def __post_init__(self) -> None:
        for name in ("target_scale", "target_aspect", "context_scale"):
            least, largest = getattr(self, name)
            if least > largest:
                raise ValueError(f"Expected {name} from less to more, got [{least}, {largest}].")

    def sample(self, rng: np.random.Generator, images: int) -> ImageMask:
        """Masks of so many images."""
        target = self._size(rng, self.target_scale, self.target_aspect)
        context = self._size(rng, self.context_scale, (1.0, 1.0))
        layouts = [self._layout(rng, context, target) for _ in range(images)]
        shortest = min(len(seen) for seen, _ in layouts)
        seen = [np.sort(rng.choice(ids, shortest, replace=False)) for ids, _ in layouts]
        hidden = [blocks for _, blocks in layouts]
        return ImageMask(torch.from_numpy(np.stack(seen)), torch.from_numpy(np.stack(hidden)))

    def _size(
        self, rng: np.random.Generator, scale: tuple[float, float], aspect: tuple[float, float]
    ) -> tuple[int, int]:
        """Height and width of a block, tokens."""
        area, ratio = rng.uniform(*scale) * self.grid**2, rng.uniform(*aspect)
        height, width = (round(float(np.sqrt(side))) for side in (area * ratio, area / ratio))
        return min(max(height, 1), self.grid), min(max(width, 1), self.grid)

    def _layout(
        self, rng: np.random.Generator, context: tuple[int, int], target: tuple[int, int]
    ) -> tuple[_Ids, _Ids]:
        """What is seen of an image ``[n]``, and its target blocks ``[M, m]``."""
        whole = self._place(rng, context)
        blocks = np.stack([self._place(rng, target) for _ in range(self.targets)])
        seen = np.setdiff1d(whole, blocks)
        # On a small grid targets may cover all of it; the last ones are then not taken out.
        for kept in reversed(range(self.targets)):
            seen = seen if len(seen) else np.setdiff1d(whole, blocks[:kept])
        return seen, blocks

    def _place(self, rng: np.random.Generator, size: tuple[int, int]) -> _Ids:
        """The tokens of a block of this size anywhere on the grid."""
        (height, width), tokens = size, np.arange(self.grid**2).reshape(self.grid, self.grid)
        row, column = rng.integers(self.grid - height + 1), rng.integers(self.grid - width + 1)
        return tokens[row : row + height, column : column + width].ravel()
