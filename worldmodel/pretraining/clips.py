"""Random clips out of decoded episodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ClipSampler"]


@dataclass(frozen=True)
class ClipSampler:
    """Draws clips uniformly from given first frames.

    Attributes:
        frames: All frames of a dataset, ``uint8 [F, h, w, 3]``, often memory-mapped.
        firsts: Rows at which a clip may start; see ``worldmodel.data.windows.window_starts``.
        clip_frames: Frames per clip.
        stride: Recorded frames from one clip frame to the next.
    """

    frames: NDArray[np.uint8]
    firsts: NDArray[np.int64]
    clip_frames: int
    stride: int = 1

    def sample(self, rng: np.random.Generator, batch: int) -> Tensor:
        """Clips ``uint8 [batch, clip_frames, h, w, 3]``."""
        rows = rng.choice(self.firsts, batch)[:, None] + self.stride * np.arange(self.clip_frames)
        return torch.from_numpy(np.ascontiguousarray(self.frames[rows]))
