"""Frames of any size as square frames of an encoder's size.

``crop`` is what V-JEPA 2-AC does when it is evaluated: the central square of the frame, resized
bilinearly without antialiasing. It differs in rounding the result to whole grey levels. ``pad``
keeps the whole frame between black bars, ``squeeze`` keeps it without its aspect ratio.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F

from worldmodel.data.episode import Frames
from worldmodel.errors import SettingsError, nearest
from worldmodel.settings import among

__all__ = ["FITS", "Fit", "FittedDataset", "fitted", "fitted_dataset", "frames_told"]

FITS = ("crop", "pad", "squeeze")
"""How a frame becomes square."""

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


def _check(how: str) -> None:
    if how not in FITS:
        raise SettingsError(f"unknown fit '{how}'; {nearest(how, FITS)}")


def _resized(frame: Frames, shape: tuple[int, int]) -> Frames:
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
    resized = F.interpolate(pixels, shape, mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).round().to(torch.uint8).numpy()
