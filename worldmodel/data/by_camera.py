"""Episodes of several cameras as episodes of one camera, for training that needs no more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from worldmodel.data.episode import Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset

__all__ = ["ByCamera", "by_camera"]

_PER_ROW = ("timestamps", "actions", "states", "objects", "extrinsics")


def by_camera(dataset: EpisodeDataset) -> EpisodeDataset:
    """All episodes as the first camera saw them, then all as the second did, and so on.

    Episode e of E, seen by the k-th camera, is number ``k * E + e``. A dataset of one camera is
    returned as it is.

    Raises:
        ValueError: Cameras have frames of different sizes; fit them first.
    """
    if len(dataset.cameras) == 1:
        return dataset
    if len(set(dataset.frame_sizes)) > 1:
        raise ValueError(f"Expected frames of one size, got {dataset.frame_sizes}. Fit them first.")
    kept = {field.name: getattr(dataset, field.name) for field in fields(EpisodeDataset)}
    times = len(dataset.cameras)
    for name in _PER_ROW:
        if kept[name] is not None:
            kept[name] = np.concatenate([kept[name]] * times)
    return ByCamera(
        **{
            **kept,
            "cameras": ("each",),
            "frame_sizes": dataset.frame_sizes[:1],
            "lengths": np.tile(dataset.lengths, times),
            "tasks": [*dataset.tasks] * times,
        },
        source=dataset,
    )


@dataclass(frozen=True, eq=False)
class ByCamera(EpisodeDataset):
    """Each episode of another dataset once for each of its cameras.

    Attributes:
        source: The dataset.
    """

    source: EpisodeDataset

    def camera_frames(self, camera: str, episode: int, steps: Indices) -> Iterator[Frames]:
        """Decodes frames of the camera that the episode's number tells."""
        place, number = divmod(episode, self.source.num_episodes)
        return self.source.camera_frames(self.source.cameras[place], number, steps)

    def timestamp_source(self, episode: int) -> str:
        """File and key of an episode's timestamps, for errors."""
        return self.source.timestamp_source(episode % self.source.num_episodes)

    def fingerprint(self) -> str:
        """The source's key, and that its cameras follow one another."""
        key = f"{self.source.fingerprint()} one camera after another"
        return hashlib.sha256(key.encode()).hexdigest()
