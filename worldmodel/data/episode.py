"""What collecting needs to know of an episode."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from worldmodel.errors import UserError

__all__ = ["Episode", "Floats", "Frames", "Indices", "check_episode"]

Frames: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]
Indices: TypeAlias = npt.NDArray[np.int64]


class Episode(Protocol):
    """One episode of T steps.

    ``frames[t]`` and ``states[t]`` were seen, then ``actions[t]`` was executed.
    """

    @property
    def frames(self) -> Frames:
        """RGB, ``[T,height,width,3]``."""
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


def check_episode(episode: Episode, like: Episode) -> None:
    """Raises UserError unless shapes and dtypes are the protocol's, and those of ``like``."""
    steps = len(episode.frames)
    _expect("frames", episode.frames, np.uint8, (max(steps, 1), *like.frames.shape[1:3], 3))
    for name, values, first in (
        ("actions", episode.actions, like.actions),
        ("states", episode.states, like.states),
        ("objects", episode.objects, like.objects),
    ):
        if values is not None and first is not None:
            _expect(name, values, np.float32, (steps, first.shape[-1]))
            if not np.isfinite(values).all():
                raise UserError(f"Expected finite {name}, got NaN or infinity.")
        elif values is not first:
            raise UserError(f"Expected {name} in all episodes or in none.")


def _expect(name: str, values: npt.NDArray[Any], dtype: type, shape: tuple[int, ...]) -> None:
    if values.dtype != dtype or values.shape != shape:
        raise UserError(
            f"Expected {name} as {dtype.__name__} {list(shape)}, "
            f"got {values.dtype} {list(values.shape)}."
        )
