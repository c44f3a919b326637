"""What writing a dataset needs to know of an episode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from worldmodel.errors import UserError

__all__ = [
    "Episode",
    "Floats",
    "FrameStream",
    "Frames",
    "Indices",
    "check_episode",
    "check_finite",
    "frames_by_camera",
]

Frames: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]
Indices: TypeAlias = npt.NDArray[np.int64]


class FrameStream(Protocol):
    """Frames ``[T,height,width,3]``: an array, or what decodes them one after another."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all frames together."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        ...

    def __iter__(self) -> Iterator[Frames]:
        """Each frame in order."""
        ...


class Episode(Protocol):
    """One episode of T steps.

    ``frames[t]`` and ``states[t]`` were seen, then ``actions[t]`` was executed.
    """

    @property
    def frames(self) -> Frames | Mapping[str, FrameStream]:
        """RGB, ``[T,height,width,3]``; of several cameras, by name."""
        ...

    @property
    def actions(self) -> Floats:
        """Physical units per step, ``[T,A]``."""
        ...

    @property
    def states(self) -> Floats:
        """Proprioception in the same units, ``[T,P]``."""
        ...

    @property
    def objects(self) -> Floats | None:
        """Privileged simulator state for probes, ``[T,3n]`` in m, or None."""
        ...

    @property
    def task(self) -> str:
        """What the episode is about, in words."""
        ...


def frames_by_camera(episode: Episode, camera: str) -> Mapping[str, FrameStream]:
    """The episode's frames by camera; ``camera`` is the name of one that has none."""
    frames = episode.frames
    return frames if isinstance(frames, Mapping) else {camera: frames}


def check_episode(episode: Episode, like: Episode) -> None:
    """Raises UserError unless shapes and dtypes are the protocol's, and those of ``like``."""
    views, first_views = (frames_by_camera(e, "") for e in (episode, like))
    if list(views) != list(first_views):
        raise UserError(
            f"Expected the cameras {', '.join(first_views)} in every episode, got "
            f"{', '.join(views) or 'none'}."
        )
    steps = next(iter(views.values())).shape[0] if views else 0
    for camera, frames in views.items():
        size = first_views[camera].shape[1:3]
        told = f"frames of camera '{camera}'" if camera else "frames"
        _expect(told, frames, np.uint8, (max(steps, 1), *size, 3))
    for name, values, first in (
        ("actions", episode.actions, like.actions),
        ("states", episode.states, like.states),
        ("objects", episode.objects, like.objects),
    ):
        if values is not None and first is not None:
            _expect(name, values, np.float32, (steps, first.shape[-1]))
            check_finite(name, values)
        elif values is not first:
            raise UserError(f"Expected {name} in all episodes or in none.")


def check_finite(name: str, values: npt.NDArray[Any]) -> None:
    """Raises UserError unless all numbers ``[T,width]`` are finite."""
    if (wrong := ~np.isfinite(values)).any():
        step, dimension = np.argwhere(wrong)[0]
        raise UserError(
            f"Expected finite {name}, got {values[step, dimension]} at frame {step}, dimension "
            f"{dimension}. Mend the episode or leave it out."
        )


class _Array(Protocol):
    """What has a shape and a dtype."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...


def _expect(name: str, values: _Array, dtype: type, shape: tuple[int, ...]) -> None:
    if values.dtype != dtype or values.shape != shape:
        raise UserError(
            f"Expected {name} as {dtype.__name__} {list(shape)}, "
            f"got {values.dtype} {list(values.shape)}."
        )
