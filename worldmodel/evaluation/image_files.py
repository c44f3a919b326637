"""Images that a user gives in place of the camera's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import PIL.Image

from worldmodel.agents.views import Image
from worldmodel.errors import UserError
from worldmodel.spec import CameraSpec

__all__ = ["as_paths", "read_goals", "read_image"]

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow would run another program for some that it also knows."""


def read_image(key: str, path: Path, camera: CameraSpec) -> Image:
    """A user's image, ``uint8 [h, w, 3]``, as the camera would have taken it.

    Args:
        key: What the user gave it as, for messages.
        path: Of a file.
        camera: Whose size it has.

    Raises:
        UserError: It is missing, not an image, not RGB, or of another size.
    """
    if not path.is_file():
        raise UserError(f"{key}={path}: no such file; give the path of an image")
    try:
        PIL.Image.open(path, formats=_FORMATS).close()  # only looks at the header
        found = iio.improps(path, plugin="pillow")
        fits = found.shape == (camera.height, camera.width, 3) and found.dtype == np.uint8
        pixels = iio.imread(path, plugin="pillow") if fits else None  # a large one takes memory
    except Exception as error:  # whatever damaged bytes make the library raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{key}={path} is not an image that can be read ({reason})") from error
    if pixels is None:
        raise UserError(
            f"Expected {key}={path} to be an RGB image of {camera.height}x{camera.width} "
            f"pixels, the camera's, got shape {'x'.join(map(str, found.shape))} of {found.dtype}; "
            "resize or convert it"
        )
    return np.asarray(pixels, np.uint8)


def as_paths(goal: Any) -> tuple[str, ...]:
    """Paths of a user's goal images, sub-goals first; () for the environment's own goal.

    Raises:
        ValueError: They are neither a path nor a list of paths.
    """
    if goal is None:
        return ()
    paths = tuple(goal) if isinstance(goal, list | tuple) else (goal,)
    if not paths or not all(isinstance(path, str) for path in paths):
        raise ValueError(f"Expected goal to be a path or a list of paths, got {goal}")
    return paths


def read_goals(
    paths: Sequence[str], stage_steps: Sequence[int], cameras: Sequence[CameraSpec]
) -> Image | None:
    """A user's goal images, ``uint8 [G, h, w, 3]``; None without paths.

    Raises:
        UserError: There are several cameras, the images are not one more than the stages, or one
            of them cannot be used.
    """
    if not paths:
        return None
    if len(cameras) > 1:
        raise UserError(
            f"Expected one camera with goal=…, got {', '.join(c.name for c in cameras)}; from "
            "Python, wm.evaluate takes goals={camera: image}"
        )
    if len(paths) != len(stage_steps) + 1:
        raise UserError(
            f"Expected a number of steps for each of {len(paths)} goal image(s) but the last, got "
            f"task.stage_steps={list(stage_steps)}; give {len(paths) - 1}"
        )
    return np.stack([read_image("goal", Path(path), cameras[0]) for path in paths])
