"""Frames of any size as square frames of an encoder's size.

``crop`` is what V-JEPA 2-AC does when it is evaluated: the central square of the frame, resized
bilinearly without antialiasing. It differs in rounding the result to whole grey levels. ``pad``
keeps the whole frame between black bars, ``squeeze`` keeps it without its aspect ratio.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F

from worldmodel.data.episode import Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.errors import SettingsError, nearest
from worldmodel.settings import among
from worldmodel.spec import FITS

__all__ = ["Fit", "FittedDataset", "fitted", "fitted_dataset", "frames_told"]

Fit = Annotated[str, among(*FITS)]
"""One of them, as a setting."""

_KEYS = {"crop": "central square", "pad": "black bars", "squeeze": "squeezed"}
"""What a fingerprint says of it; that of ``crop`` is older than the others."""


def fitted(frames: Frames, size: int, how: str = "crop") -> Frames:
    """Frames ``uint8 [T,h,w,3]`` as ``uint8 [T,size,size,3]``.

    >>> wide = np.full((1, 4, 8, 3), 255, np.uint8)
    >>> fitted(wide, 4, "pad")[0, :, 0, 0]
    array([  0, 255, 255,   0], dtype=uint8)

    Args:
        frames: RGB of any height and width.
        size: Side of the result, pixels.
        how: One of `FITS`: ``crop`` takes the central square, ``pad`` adds black bars, ``squeeze``
            changes the aspect ratio.

    Raises:
        SettingsError: ``how`` is none of these.
    """
    _check(how)
    height, width = frames.shape[1:3]
    if how == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        frames = frames[:, top : top + side, left : left + side]
    shape = (size, size)
    if how == "pad":
        scale = size / max(height, width)
        shape = (max(round(scale * height), 1), max(round(scale * width), 1))
    whole = np.zeros((len(frames), size, size, 3), np.uint8)
    top, left = ((size - n) // 2 for n in shape)
    # One at a time: as floating point numbers, an episode of large frames takes gigabytes.
    for place, frame in enumerate(frames):
        whole[place, top : top + shape[0], left : left + shape[1]] = _resized(frame, shape)
    return whole


def fitted_dataset(dataset: EpisodeDataset, size: int, how: str = "crop") -> EpisodeDataset:
    """The dataset with each camera's frames at ``size`` × ``size``; itself, if it has them so.

    Raises:
        SettingsError: ``how`` is none of `FITS`.
    """
    _check(how)
    if set(dataset.frame_sizes) == {(size, size)}:
        return dataset
    if all(height == width for height, width in dataset.frame_sizes):
        how = "crop"  # square frames are the same in all three ways, so they share a cache
    return FittedDataset.of(dataset, size, how)


def frames_told(dataset: EpisodeDataset, size: int, how: str = "crop") -> str:
    """What `fitted_dataset` does to a dataset's frames, for the eye."""
    shown = {"crop": "central square, resized", "pad": "black bars, resized", "squeeze": "squeezed"}
    sizes = ", ".join(f"{height} x {width}" for height, width in dict.fromkeys(dataset.frame_sizes))
    return f"frames of {sizes}: {shown[how]} to {size} x {size}"


@dataclass(frozen=True, eq=False)
class FittedDataset(EpisodeDataset):
    """Another dataset's frames made square; all else is as it was.

    Attributes:
        source: The dataset.
        how: One of `FITS`.
    """

    source: EpisodeDataset
    how: str

    @classmethod
    def of(cls, source: EpisodeDataset, size: int, how: str) -> FittedDataset:
        """Shows a dataset at ``size`` × ``size`` pixels."""
        kept = {field.name: getattr(source, field.name) for field in fields(EpisodeDataset)}
        sizes = ((size, size),) * len(source.cameras)
        return cls(**{**kept, "frame_sizes": sizes}, source=source, how=how)

    def camera_frames(self, camera: str, episode: int, steps: Indices) -> Iterator[Frames]:
        """Fits each frame as it is decoded; see `EpisodeDataset.camera_frames`."""
        for frame in self.source.camera_frames(camera, episode, steps):
            yield fitted(frame[None], self.frame_sizes[0][0], self.how)[0]

    def timestamp_source(self, episode: int) -> str:
        """File and key of an episode's timestamps, for errors."""
        return self.source.timestamp_source(episode)

    def fingerprint(self) -> str:
        """The source's key, and what happens to its frames."""
        size = self.frame_sizes[0]
        key = f"{self.source.fingerprint()} {_KEYS[self.how]}, bilinear to {size}"
        return hashlib.sha256(key.encode()).hexdigest()


def _check(how: str) -> None:
    if how not in FITS:
        raise SettingsError(f"unknown fit '{how}'; {nearest(how, FITS)}")


def _resized(frame: Frames, shape: tuple[int, int]) -> Frames:
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
    resized = F.interpolate(pixels, shape, mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).round().to(torch.uint8).numpy()
