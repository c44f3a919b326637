"""Images that a user gives in place of the camera's."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np

from worldmodel.commands.evaluation import Image
from worldmodel.errors import UserError

__all__ = ["read_image"]


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
        pixels = iio.imread(path, plugin="pillow")
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{key}={path} is not an image that can be read ({error})") from error
    if pixels.shape != (size, size, 3) or pixels.dtype != np.uint8:
        raise UserError(
            f"Expected {key}={path} to be an RGB image of {size}x{size} pixels, the camera's, got "
            f"shape {'x'.join(map(str, pixels.shape))} of {pixels.dtype}; resize or convert it"
        )
    return np.asarray(pixels, np.uint8)
