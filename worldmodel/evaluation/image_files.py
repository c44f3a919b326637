"""Images that a user gives in place of the camera's."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import PIL.Image

from worldmodel.errors import UserError
from worldmodel.evaluation.episodes import Image

__all__ = ["read_image"]

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow would run another program for some that it also knows."""


def read_image(key: str, path: Path, size: int) -> Image:
    """A user's image, ``uint8 [size, size, 3]``.

    Args:
        key: What the user gave it as, for messages.
        path: Of a file.
        size: Side of the camera's images, pixels.

    Raises:
        UserError: It is missing, not an image, not RGB, or of another size.
    """
    if not path.is_file():
        raise UserError(f"{key}={path}: no such file; give the path of an image")
    try:
        PIL.Image.open(path, formats=_FORMATS).close()  # only looks at the header
        found = iio.improps(path, plugin="pillow")
        fits = found.shape == (size, size, 3) and found.dtype == np.uint8
        pixels = iio.imread(path, plugin="pillow") if fits else None  # a large one takes memory
    except Exception as error:  # whatever damaged bytes make the library raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{key}={path} is not an image that can be read ({reason})") from error
    if pixels is None:
        raise UserError(
            f"Expected {key}={path} to be an RGB image of {size}x{size} pixels, the camera's, got "
            f"shape {'x'.join(map(str, found.shape))} of {found.dtype}; resize or convert it"
        )
    return np.asarray(pixels, np.uint8)
