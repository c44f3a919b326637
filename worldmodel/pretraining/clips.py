"""Random clips out of decoded episodes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.errors import UserError

__all__ = ["ClipSampler"]


@dataclass(frozen=True)
class ClipSampler:
    """Draws clips that lie within one episode, uniformly over all such clips.

    Attributes:
        frames: All frames of a dataset, ``uint8 [F, h, w, 3]``, often memory-mapped.
        starts: First frame of each usable episode.
        lengths: Frames of each usable episode.
        clip_frames: Frames per clip.
        stride: Recorded frames from one clip frame to the next.
    """

    frames: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    clip_frames: int
    stride: int = 1
    _firsts: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        span = (self.clip_frames - 1) * self.stride + 1
        usable = [
            np.arange(start, start + length - span + 1)
            for start, length in zip(self.starts, self.lengths, strict=True)
            if length >= span
        ]
        if not usable:
            longest = int(self.lengths.max(initial=0))
            raise UserError(
                f"No episode is long enough for clips of {self.clip_frames} frames with stride "
                f"{self.stride} ({span} frames; the longest has {longest}). "
                "Lower clip_frames or frame_stride, or collect longer episodes."
            )
        object.__setattr__(self, "_firsts", np.concatenate(usable).astype(np.int64))

    def sample(self, rng: np.random.Generator, batch: int) -> Tensor:
        """Clips ``uint8 [batch, clip_frames, h, w, 3]``."""
        firsts = rng.choice(self._firsts, batch)
        index = firsts[:, None] + np.arange(self.clip_frames) * self.stride
        return torch.from_numpy(np.ascontiguousarray(self.frames[index]))
