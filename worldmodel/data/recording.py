"""Episodes of one's own, from arrays: written as a LeRobotDataset v3.0 that training reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worldmodel.data.lerobot.writer import finish_dataset, write_shard
from worldmodel.errors import InputError, SettingsError, UserError

__all__ = ["Recording", "write_dataset"]

_SHARD = 50  # episodes per file


@dataclass(frozen=True)
class Recording:
    """One episode of T steps: ``frames[t]`` and ``states[t]`` were seen, then ``actions[t]`` done.

    Attributes:
        frames: RGB, ``uint8 [T, h, w, 3]``.
        actions: ``float [T, A]``, physical units per step.
        states: Proprioception ``float [T, P]``; None for none.
        task: What it is about, in words.
        objects: Positions of objects for probes, ``float [T, 3n]`` (m), if they are known.
    """

    frames: NDArray[np.uint8]
    actions: NDArray[np.float32]
    states: NDArray[np.float32] | None = None
    task: str = "unspecified"
    objects: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class _Episode:
    """A recording as the writer takes it."""

    frames: NDArray[np.uint8]
    actions: NDArray[np.float32]
    states: NDArray[np.float32]
    task: str
    objects: NDArray[np.float32] | None


def write_dataset(
    out: str | os.PathLike[str],
    recordings: Iterable[Recording],
    *,
    fps: float,
    camera: str = "front",
    robot: str | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write recordings to a new folder, which `pretrain`, `train` and LeRobot read.

    Args:
        out: The folder; it must not hold anything yet.
        recordings: One or more, alike in frame size and widths; taken one by one.
        fps: Control steps a second.
        camera: Its name.
        robot: LeRobot's ``robot_type``.
        names: Of the components of ``action`` and ``observation.state``.

    Raises:
        UserError: The folder is in use, there are no recordings, or they are not alike.
        InputError: Frames are not ``uint8`` RGB.
    """
    root = Path(out)
    if not 0 < fps < 1e6:
        raise SettingsError(f"Expected fps above 0, got {fps}")
    if root.is_file() or (root.exists() and any(root.iterdir())):
        raise UserError(f"Expected out={root} to be new or empty; choose another folder")
    stream, shards, episodes, first_frame = iter(recordings), 0, 0, 0
    tasks: list[str] = []
    while batch := [_checked(recording) for recording in islice(stream, _SHARD)]:
        tasks += [task for task in dict.fromkeys(e.task for e in batch) if task not in tasks]
        seeds = range(episodes, episodes + len(batch))
        write_shard(
            root, shards, episodes, first_frame, seeds, batch, tasks=tasks, fps=fps, camera=camera
        )
        shards, episodes = shards + 1, episodes + len(batch)
        first_frame += sum(len(episode.frames) for episode in batch)
    if not shards:
        raise UserError(f"Expected one recording or more for {root}, got none")
    finish_dataset(
        root, shards, fps=fps, camera=camera, tasks=tasks, robot=robot, names=names or {}
    )
    return root


def _checked(recording: Recording) -> _Episode:
    if not isinstance(recording, Recording):
        raise InputError(f"Expected a Recording, got {type(recording).__name__}")
    frames = np.asarray(recording.frames)
    if frames.dtype != np.uint8:
        raise InputError(
            f"Expected frames as uint8 in 0 to 255, got {frames.dtype}; multiply by 255 if they "
            "are in [0, 1], and convert them"
        )
    steps = len(frames)
    states = np.zeros((steps, 0)) if recording.states is None else recording.states
    actions, states = (np.asarray(array, np.float32) for array in (recording.actions, states))
    objects = None if recording.objects is None else np.asarray(recording.objects, np.float32)
    return _Episode(frames, actions, states, recording.task, objects)
