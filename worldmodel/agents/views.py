"""Images of an environment as a world reads them: square, of one size, cameras side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.data.fitting import fitted
from worldmodel.errors import InputError
from worldmodel.spec import CameraSpec, Spec

__all__ = ["Image", "Images", "Views"]

Image = NDArray[np.uint8]
"""RGB ``uint8 [h, w, 3]``."""
Images = NDArray[np.uint8] | Tensor | Mapping[str, NDArray[np.uint8] | Tensor]
"""``uint8``, RGB, of the only camera, or of each by its name."""

_FRONT = "front"  # what the only camera of an environment is called, whose images are "image"


@dataclass(frozen=True)
class Views:
    """How images of K cameras become one.

    Attributes:
        cameras: Their names, and the size of their frames.
        size: Side of the squares that the world reads, pixels.
        fit: How frames become square (`worldmodel.data.fitting`).
    """

    cameras: tuple[CameraSpec, ...]
    size: int
    fit: str = "crop"

    @classmethod
    def of(cls, spec: Spec, size: int) -> Views:
        """Those of a spec."""
        return cls(spec.cameras, size, spec.fit)

    def seen(self, observation: Mapping[str, Any]) -> Tensor:
        """The image ``uint8 [size, K size, 3]`` of an observation.

        Raises:
            InputError: A camera's image is missing, or is none.
        """
        found: dict[str, Any] = {
            camera.name: observation.get(_key(camera.name, observation)) for camera in self.cameras
        }
        if missing := [name for name, image in found.items() if image is None]:
            got = list(observation) if isinstance(observation, Mapping) else type(observation)
            key = "image" if missing == [_FRONT] else f"camera '{missing[0]}'"
            raise InputError(f"Expected an observation with an {key}, got {got}")
        return self.joined(found, "image")

    def joined(self, images: Images, name: str) -> Tensor:
        """One image ``uint8 [size, K size, 3]``, or several ``[G, size, K size, 3]``.

        Args:
            images: ``uint8 [h, w, 3]`` or ``[G, h, w, 3]``, of each camera by name if there are
                several.
            name: What they are, for errors.

        Raises:
            InputError: They are not RGB images in ``uint8``, or not of these cameras.
        """
        if not isinstance(images, Mapping):
            if len(self.cameras) > 1:
                raise InputError(
                    f"Expected {name} of each camera ({', '.join(c.name for c in self.cameras)}) "
                    "by its name, got one array"
                )
            images = {self.cameras[0].name: images}
        squares: list[Tensor] = []
        for camera in self.cameras:
            image = images.get(_key(camera.name, images))
            if image is None:
                raise InputError(f"Expected {name} of camera '{camera.name}', got {list(images)}")
            squares.append(self._square(pixels(image, name), camera, name))
        return squares[0] if len(squares) == 1 else torch.cat(squares, -2)

    def _square(self, frames: Tensor, camera: CameraSpec, name: str) -> Tensor:
        height, width = frames.shape[-3:-1]
        if (height, width) == (self.size, self.size):
            return frames
        if (height, width) != (camera.height, camera.width):
            raise InputError(
                f"Expected {name} of {camera.height} x {camera.width} pixels, as camera "
                f"'{camera.name}' has them, got {height} x {width}; crop and resize"
            )
        whole = frames.reshape(-1, *frames.shape[-3:]).numpy()
        return torch.from_numpy(fitted(whole, self.size, self.fit)).view(
            *frames.shape[:-3], self.size, self.size, 3
        )


def recorded(observations: Sequence[Mapping[str, Any]], spec: Spec) -> dict[str, Image]:
    """The frames ``uint8 [T, h, w, 3]`` of each camera along an episode."""
    return {
        camera.name: np.stack([seen[_key(camera.name, seen)] for seen in observations])
        for camera in spec.cameras
    }


def _key(camera: str, images: Mapping[str, Any]) -> str:
    return "image" if camera == _FRONT and "image" in images else camera


def pixels(images: Any, name: str, axes: Sequence[int] = (3, 4)) -> Tensor:
    """Images as a tensor ``uint8 [h, w, 3]`` or ``[G, h, w, 3]``.

    Args:
        images: An array, or what becomes one.
        name: What they are, for errors.
        axes: How many are allowed.

    Raises:
        InputError: They are not ``uint8`` RGB, or a batch where one is wanted.
    """
    if not isinstance(images, Tensor):
        array = np.asarray(images)
        if array.dtype.kind not in "biuf":
            raise InputError(f"Expected {name} as an array of pixels, got {images!r:.60}")
        images = torch.from_numpy(np.ascontiguousarray(array))
    frames: Tensor = images
    if frames.dtype != torch.uint8:
        remedy = "convert it with .astype(np.uint8)"
        if frames.is_floating_point() and frames.numel() and float(frames.max()) <= 1:
            remedy = "it seems to be in [0, 1]: give (255 * image).astype(np.uint8)"
        raise InputError(f"Expected {name} as uint8 in 0 to 255, got {frames.dtype}; {remedy}")
    if frames.ndim not in axes or frames.shape[-1] != 3:
        shape = "[h,w,3]" if tuple(axes) == (3,) else "[G,h,w,3]"
        batch = frames.ndim == 4 and 4 not in axes
        remedy = "one frame is wanted, got a batch of them" if batch else "give RGB images"
        raise InputError(f"Expected {name} {shape}, got {list(frames.shape)}; {remedy}")
    return frames.cpu()
