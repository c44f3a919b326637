"""Reading the ``.npz`` of OGBench (Park et al. 2024, arXiv:2410.20092), of its visual data sets.

All steps of all episodes one after another, F in all. Of them are read::

    observations  uint8 [F,h,w,3]  the camera, called ``pixels``
    actions       [F,A]            what was done after the frame
    terminals     [F]              1 in an episode's last row

There are no states, and the file does not say how many frames there are a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from worldmodel.data.cameras import Wanted, chosen_cameras
from worldmodel.data.episode import Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset, content_key
from worldmodel.data.npz import ArrayInZip, array_names, array_of
from worldmodel.data.untimed import USUAL_FPS, without_unused
from worldmodel.errors import UserError

__all__ = ["OgbenchDataset", "holds_ogbench"]

_BLOCK_BYTES = 16_000_000
"""Of the frames that are read at once."""
_CAMERA = "pixels"


@dataclass(frozen=True, eq=False)
class OgbenchDataset(EpisodeDataset):
    """Episodes of a visual data set of OGBench.

    Attributes:
        stored: The frames of all episodes.
    """

    stored: ArrayInZip

    @classmethod
    def open(cls, path: Path | str, cameras: Wanted = None) -> OgbenchDataset:
        """Opens a file.

        Args:
            path: The file.
            cameras: ``pixels``, or nothing.

        Raises:
            UserError: The file is damaged, of another layout or without images, or an action is not
                finite.
        """
        path = Path(path)
        if not holds_ogbench(path):
            raise UserError(
                f"Expected observations, actions and terminals in {path}, got "
                f"{', '.join(array_names(path)) or 'no .npz'}. Use a file as OGBench has it."
            )
        stored = ArrayInZip.open(path, "observations")
        if len(stored.shape) != 4 or stored.shape[3] != 3 or stored.dtype != np.uint8:
            raise UserError(
                f"Expected images uint8 [F,h,w,3] as 'observations' of {path}, got {stored.dtype} "
                f"{list(stored.shape)}. Use a data set with 'visual' in its name."
            )
        frames = stored.shape[0]
        actions, ends = array_of(path, "actions"), array_of(path, "terminals").reshape(-1)
        if actions.ndim != 2 or len(actions) != frames or len(ends) != frames or not frames:
            raise UserError(
                f"Expected 'actions' [{frames},A] and 'terminals' [{frames}] in {path}, one row an "
                f"observation, got {list(actions.shape)} and {list(ends.shape)}. Copy it again."
            )
        last = np.unique([*np.flatnonzero(ends), frames - 1])
        lengths = np.diff(last, prepend=-1).astype(np.int64)
        return cls(
            root=path,
            cameras=chosen_cameras([_CAMERA], cameras, str(path)),
            frame_sizes=((stored.shape[1], stored.shape[2]),),
            lengths=lengths,
            tasks=[()] * len(lengths),
            timestamps=np.concatenate([np.arange(length) / USUAL_FPS for length in lengths]),
            actions=without_unused(actions.astype(np.float32), lengths, f"{path}['actions']"),
            states=np.zeros((frames, 0), np.float32),
            objects=None,
            extrinsics=None,
            timed=False,
            stored=stored,
        )

    def camera_frames(self, camera: str, episode: int, steps: Indices) -> Iterator[Frames]:
        """Reads some frames of an episode; see `EpisodeDataset.camera_frames`."""
        rows = (self.starts[episode] + steps).tolist()
        height, width = self.frame_sizes[0]
        most = max(_BLOCK_BYTES // (height * width * 3), 1)
        first, block = 0, np.empty((0, 0, 0, 3), np.uint8)
        for place, row in enumerate(rows):
            if not first <= row < first + len(block):
                ahead = [r for r in rows[place : place + most] if r < row + most]
                first, block = row, self.stored.rows(row, ahead[-1] + 1)
            yield block[row - first]

    def timestamp_source(self, episode: int) -> str:
        """What an episode's timestamps are counted by, for errors."""
        return f"{self.root}['terminals']"

    def fingerprint(self) -> str:
        """A key over all that frames, actions and states are read from, whatever the folder."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return content_key("ogbench", self.root.parent, [self.root])


def holds_ogbench(path: Path) -> bool:
    """Whether a file is laid out as OGBench does."""
    return {"observations", "actions", "terminals"} <= set(array_names(path))
