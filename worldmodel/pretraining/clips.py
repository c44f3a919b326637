"""Random clips out of decoded episodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ClipSampler", "Clips"]


class Clips(NamedTuple):
    """A batch of B clips of T frames.

    Attributes:
        frames: ``uint8 [B, T, h, w, 3]``.
        actions: What was done from each frame to the next, ``float32 [B, T - 1, stride, A]`` in
            physical units.
    """

    frames: Tensor
    actions: Tensor

    def to(self, device: torch.device) -> Clips:
        """The same on a device."""
        return Clips(self.frames.to(device), self.actions.to(device))


@dataclass(frozen=True)
class ClipSampler:
    """Draws clips uniformly from given first frames.

    Attributes:
        frames: All frames of a dataset, ``uint8 [F, h, w, 3]``, often memory-mapped.
        actions: Their actions, ``float32 [F, A]``.
        firsts: Rows at which a clip may start; see ``worldmodel.data.windows.window_starts``.
        clip_frames: Frames per clip.
        stride: Recorded frames from one clip frame to the next.
    """

    frames: NDArray[np.uint8]
    actions: NDArray[np.float32]
    firsts: NDArray[np.int64]
    clip_frames: int
    stride: int = 1

    def sample(self, rng: np.random.Generator, batch: int) -> Clips:
        """A batch of clips."""
        rows = rng.choice(self.firsts, batch)[:, None] + self.stride * np.arange(self.clip_frames)
        between = rows[:, :-1, None] + np.arange(self.stride)
        return Clips(
            torch.from_numpy(np.ascontiguousarray(self.frames[rows])),
            torch.from_numpy(self.actions[between]),
        )
