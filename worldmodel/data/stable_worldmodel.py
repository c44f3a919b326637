"""Reading the HDF5 of stable-worldmodel (github.com/galilai-group/stable-worldmodel).

One file, all steps of all episodes one after another, F in all. Of it are read::

    ep_len, ep_offset   [E]   length and first row of each episode; or, where they are missing,
    ep_idx, step_idx    [F]   episode and step of each row
    action              [F,A] what was done after the frame; NaN where nothing followed
    pixels, pixels.<n>  uint8 [F,h,w,3] or [F,3,h,w]: a camera each
    proprio             [F,P] or [F]: the state; else ``observation``; else there is none

``state`` may hold what only a simulator knows, so it is left out. The file does not say how many
frames there are a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worldmodel.data.cameras import Wanted, chosen_cameras
from worldmodel.data.episode import Floats, Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset, content_key
from worldmodel.data.hdf5 import (
    Node,
    array_at,
    each_stored_frame,
    frame_size,
    is_frames,
    numbers_at,
    opened,
    values,
)
from worldmodel.data.untimed import USUAL_FPS, without_unused
from worldmodel.errors import UserError

__all__ = ["StableWorldmodelDataset", "holds_stable_worldmodel"]

_STATES = ("proprio", "observation")


@dataclass(frozen=True, eq=False)
class StableWorldmodelDataset(EpisodeDataset):
    """Episodes of a file of stable-worldmodel; a camera is called as its array.

    Attributes:
        firsts: Row of each episode's first frame in the file, int64 ``[E]``.
    """

    firsts: Indices

    @classmethod
    def open(cls, path: Path | str, cameras: Wanted = None) -> StableWorldmodelDataset:
        """Opens a file.

        Args:
            path: The file.
            cameras: Names such as ``pixels``; None for the only one; () for all.

        Raises:
            UserError: The file is damaged or of another layout, has no such camera, or a number is
                not finite.
            MissingExtraError: h5py is not installed; the extra ``hdf5`` has it.
        """
        path = Path(path)
        with opened(path) as file:
            known = [key for key in sorted(file) if _is_camera(file, key)]
            chosen = chosen_cameras(known, cameras, str(path))
            views = [array_at(file, key) for key in chosen]
            actions = numbers_at(file, "action", (None, None))
            frames = len(actions)
            for key, view in zip(chosen, views, strict=True):
                if len(view) != frames:
                    raise UserError(
                        f"Expected {frames} frames in {path}['{key}'], one for each row of "
                        f"'action', got {len(view)}. Copy it again."
                    )
            firsts, lengths = _episodes(file, frames)
            rows = np.concatenate(
                [np.arange(first, first + n) for first, n in zip(firsts, lengths, strict=True)]
            )
            done = np.asarray(actions[()], np.float32)[rows]
            states, state = _states(file, frames)
            sizes = tuple(frame_size(view) for view in views)
        return cls(
            root=path,
            cameras=chosen,
            frame_sizes=sizes,
            lengths=lengths,
            tasks=[()] * len(lengths),
            timestamps=np.concatenate([np.arange(length) / USUAL_FPS for length in lengths]),
            actions=without_unused(done, lengths, f"{path}['action']"),
            states=states[rows],
            objects=None,
            extrinsics=None,
            timed=False,
            state_names=tuple(f"{state}.{n}" for n in range(states.shape[1])),
            remarks=(),
            firsts=firsts,
        )

    def camera_frames(self, camera: str, episode: int, steps: Indices) -> Iterator[Frames]:
        """Reads some frames of an episode; see `EpisodeDataset.camera_frames`."""
        return each_stored_frame(self.root, camera, self.firsts[episode] + steps)

    def timestamp_source(self, episode: int) -> str:
        """What an episode's timestamps are counted by, for errors."""
        return f"{self.root}['ep_len']"

    def fingerprint(self) -> str:
        """A key over all that frames, actions and states are read from, whatever the folder."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        key = f"stable-worldmodel {', '.join(self.cameras)}"
        return content_key(key, self.root.parent, [self.root])


def holds_stable_worldmodel(file: Node) -> bool:
    """Whether an HDF5 file is laid out as stable-worldmodel does."""
    listed = {"ep_len", "ep_offset"} <= set(file) or {"ep_idx", "step_idx"} <= set(file)
    return "action" in file and listed


def _is_camera(file: Node, key: str) -> bool:
    return (key == "pixels" or key.startswith("pixels.")) and is_frames(file[key])


def _episodes(file: Node, frames: int) -> tuple[Indices, Indices]:
    """First row and length of each episode, ``[E]``."""
    path = file.file.filename
    if {"ep_len", "ep_offset"} <= set(file):
        lengths, firsts = (_whole(file, key) for key in ("ep_len", "ep_offset"))
        if len(lengths) != len(firsts) or not len(lengths):
            raise UserError(
                f"Expected as many 'ep_len' as 'ep_offset' in {path}, one or more, got "
                f"{len(lengths)} and {len(firsts)}. Copy it again."
            )
    else:
        episodes, steps = (_whole(file, key) for key in ("ep_idx", "step_idx"))
        starts = np.flatnonzero(np.diff(episodes, prepend=episodes[:1] - 1) != 0)
        firsts, lengths = starts, np.diff([*starts, len(episodes)]).astype(np.int64)
        counted = np.arange(len(episodes)) - np.repeat(firsts, lengths)
        if len(episodes) != frames or len(steps) != frames or (steps != counted).any():
            raise UserError(
                f"Expected the rows of an episode one after another in {path}, 'step_idx' counted "
                "from 0. Sort the file by episode and step."
            )
    if (wrong := (lengths < 1) | (firsts < 0) | (firsts + lengths > frames)).any():
        episode = int(wrong.argmax())
        raise UserError(
            f"Expected episode {episode} within the {frames} rows of {path}, got "
            f"{lengths[episode]} rows from {firsts[episode]} on. Copy it again."
        )
    return firsts, lengths


def _whole(file: Node, key: str) -> Indices:
    found = numbers_at(file, key, (None,))
    return found[()].astype(np.int64)


def _states(file: Node, frames: int) -> tuple[Floats, str]:
    """States ``[F,P]``, and the array that they are from."""
    for key in _STATES:
        shape: tuple[int, ...] = getattr(file.get(key), "shape", ())
        if len(shape) in (1, 2) and shape[0] == frames and file[key].dtype.kind in "biuf":
            found: npt.NDArray[np.float64] = values(array_at(file, key))
            return found.reshape(frames, -1).astype(np.float32), key
    return np.zeros((frames, 0), np.float32), ""
