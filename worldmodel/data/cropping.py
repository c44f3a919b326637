"""Frames of any size as square frames of an encoder's size.

As V-JEPA 2-AC evaluates: the central square of the frame, resized bilinearly without antialiasing,
which is the short side resized and the long side cropped. It differs in rounding the result to
whole grey levels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F

from worldmodel.data.episode import Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset

__all__ = ["CroppedDataset", "central_square", "cropped"]


def cropped(dataset: EpisodeDataset, size: int) -> EpisodeDataset:
    """The dataset with frames of ``size`` × ``size`` pixels; itself, if that is what it has."""
    return dataset if dataset.image_size == (size, size) else CroppedDataset.of(dataset, size)


@dataclass(frozen=True, eq=False)
class CroppedDataset(EpisodeDataset):
    """The central squares of another dataset's frames, resized; all else is as it was.

    Attributes:
        source: The dataset.
    """

    source: EpisodeDataset

    @classmethod
    def of(cls, source: EpisodeDataset, size: int) -> CroppedDataset:
        """Shows a dataset at ``size`` × ``size`` pixels."""
        kept = {field.name: getattr(source, field.name) for field in fields(EpisodeDataset)}
        return cls(**{**kept, "image_size": (size, size)}, source=source)

    def each_frame(self, episode: int, steps: Indices) -> Iterator[Frames]:
        """Crops and resizes each frame as it is decoded; see `EpisodeDataset.each_frame`."""
        for frame in self.source.each_frame(episode, steps):
            yield central_square(frame[None], self.image_size[0])[0]

    def timestamp_source(self, episode: int) -> str:
        """File and key of an episode's timestamps, for errors."""
        return self.source.timestamp_source(episode)

    def fingerprint(self) -> str:
        """The source's key, and what happens to its frames."""
        key = f"{self.source.fingerprint()} central square, bilinear to {self.image_size}"
        return hashlib.sha256(key.encode()).hexdigest()


def central_square(frames: Frames, size: int) -> Frames:
    """The central squares of frames ``uint8 [T,h,w,3]``, resized to ``[T,size,size,3]``."""
    height, width = frames.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    squares = frames[:, top : top + side, left : left + side]
    # One at a time: as floating point numbers, an episode of large frames takes gigabytes.
    return np.stack([_resized(square, size) for square in squares])


def _resized(square: Frames, size: int) -> Frames:
    pixels = torch.from_numpy(square).permute(2, 0, 1)[None].float()
    resized = F.interpolate(pixels, (size, size), mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).round().to(torch.uint8).numpy()
