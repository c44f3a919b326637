"""Episodes in memory: arrays that train as files do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worldmodel.data.cameras import chosen_cameras
from worldmodel.data.episode import Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.recording import CheckedRecording, Recording, checked, named_widths
from worldmodel.errors import InputError, SettingsError

__all__ = ["ArrayDataset"]


@dataclass(frozen=True, eq=False)
class ArrayDataset(EpisodeDataset):
    """Episodes whose frames are arrays; they are not copied.

    >>> rng = np.random.default_rng(0)
    >>> front, wrist = np.zeros((5, 8, 6, 3), np.uint8), np.ones((5, 4, 4, 3), np.uint8)
    >>> made = Recording(
    ...     frames={"front": front, "wrist": wrist},
    ...     actions=rng.normal(size=(5, 2)),
    ...     states=rng.normal(size=(5, 3)),
    ... )
    >>> dataset = ArrayDataset.of([made], fps=10)
    >>> dataset.cameras, dataset.frame_sizes, dataset.actions.shape
    (('front', 'wrist'), ((8, 6), (4, 4)), (5, 2))

    Attributes:
        episodes: The recordings, checked.
    """

    episodes: Sequence[CheckedRecording]

    @classmethod
    def of(
        cls,
        recordings: Sequence[Recording],
        *,
        fps: float | None = None,
        cameras: Sequence[str] = (),
        names: Mapping[str, Sequence[str]] | None = None,
    ) -> ArrayDataset:
        """Recordings as a dataset.

        Args:
            recordings: One or more, alike in cameras, frame sizes and widths.
            fps: Control steps a second; None where nobody knows.
            cameras: Those to be used, in this order; () for all.
            names: Of the components of ``action`` and ``observation.state``.

        Raises:
            InputError: Recordings are not alike, or one is not as `Recording` says.
            SettingsError: ``fps`` is not above 0.
            UserError: There is no such camera.
        """
        if fps is not None and not 0 < fps < 1e6:
            raise SettingsError(f"Expected fps above 0, got {fps}")
        if not recordings:
            raise InputError("Expected one recording or more, got none")
        first = checked(recordings[0], 0)
        episodes = [first, *(checked(r, n, first) for n, r in enumerate(recordings[1:], 1))]
        widths = named_widths(first, names or {})
        objects = None
        if first.objects is not None:
            objects = np.concatenate([e.objects for e in episodes if e.objects is not None])
        chosen = chosen_cameras([*first.frames], tuple(cameras), "the recordings")
        lengths = np.array([len(e.actions) for e in episodes], dtype=np.int64)
        return cls(
            root=Path("arrays"),
            cameras=chosen,
            frame_sizes=tuple(
                (first.frames[camera].shape[1], first.frames[camera].shape[2]) for camera in chosen
            ),
            lengths=lengths,
            tasks=[(episode.task,) for episode in episodes],
            timestamps=np.concatenate([np.arange(length) / (fps or 1.0) for length in lengths]),
            actions=np.concatenate([episode.actions for episode in episodes]),
            states=np.concatenate([episode.states for episode in episodes]),
            objects=objects,
            extrinsics=None,
            action_names=widths.get("action"),
            state_names=widths.get("observation.state"),
            timed=fps is not None,
            episodes=episodes,
        )

    def camera_frames(self, camera: str, episode: int, steps: Indices) -> Iterator[Frames]:
        """Some frames of an episode; see `EpisodeDataset.camera_frames`."""
        return iter(self.episodes[episode].frames[camera][steps])

    def timestamp_source(self, episode: int) -> str:
        """What an episode's timestamps are counted by, for errors."""
        return f"recording {episode}, by fps"

    def fingerprint(self) -> str:
        """A key over all frames, actions and states."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        key = hashlib.sha256(f"arrays {', '.join(self.cameras)}".encode())
        parts: list[npt.NDArray[Any]] = [self.lengths, self.timestamps, self.actions, self.states]
        parts += [episode.frames[camera] for episode in self.episodes for camera in self.cameras]
        for part in parts:
            key.update(f"{part.dtype} {part.shape}".encode())
            key.update(np.ascontiguousarray(part).data)
        return key.hexdigest()
