"""Episodes of one's own, from arrays: written as a LeRobotDataset v3.0 that training reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worldmodel.data.episode import Episode, Floats, Frames, check_finite
from worldmodel.data.lerobot import layout
from worldmodel.data.lerobot.writer import finish_dataset, write_shard
from worldmodel.errors import InputError, SettingsError, UserError
from worldmodel.files.new_folder import new_folder

__all__ = [
    "CheckedRecording",
    "Recording",
    "checked",
    "named_widths",
    "write_dataset",
    "write_episodes",
]

_SHARD = 50  # episodes per file


@dataclass(frozen=True)
class Recording:
    """One episode of T steps: ``frames[t]`` and ``states[t]`` were seen, then ``actions[t]`` done.

    Attributes:
        frames: RGB, ``uint8 [T, h, w, 3]``; of several cameras, by name, each of its own size.
        actions: ``float [T, A]``, physical units per step; ``[T - 1, A]`` without one after the
            last frame.
        states: Proprioception ``float [T, P]``; None for none.
        task: What it is about, in words.
        objects: Positions of objects for probes, ``float [T, 3n]`` (m), if they are known.
    """

    frames: NDArray[np.uint8] | Mapping[str, NDArray[np.uint8]]
    actions: NDArray[np.floating]
    states: NDArray[np.floating] | None = None
    task: str = "unspecified"
    objects: NDArray[np.floating] | None = None


@dataclass(frozen=True)
class CheckedRecording:
    """A recording as the writer takes it, an `Episode`."""

    frames: Mapping[str, Frames]
    actions: Floats
    states: Floats
    task: str
    objects: Floats | None


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
        out: The folder; it must not hold anything yet. It appears when all is written.
        recordings: One or more, alike in cameras, frame sizes and widths; taken one by one.
        fps: Control steps a second.
        camera: Its name, where frames come without one.
        robot: LeRobot's ``robot_type``.
        names: Of the components of ``action`` and ``observation.state``.

    Raises:
        UserError: The folder is in use, there are no recordings, or they are not alike.
        InputError: Frames are not ``uint8`` RGB, numbers are not finite, or names do not fit.
    """
    if not 0 < fps < 1e6:
        raise SettingsError(f"Expected fps above 0, got {fps}")

    def episodes() -> Iterator[CheckedRecording]:
        first = None
        for number, recording in enumerate(recordings):
            episode = checked(recording, number, first, camera)
            if first is None:
                named_widths(episode, names or {})
                first = episode
            yield episode

    return write_episodes(Path(out), episodes(), fps=fps, robot=robot, names=names)


def write_episodes(
    out: Path,
    episodes: Iterable[Episode],
    *,
    fps: float,
    robot: str | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
    beside: Callable[[Path], None] | None = None,
) -> Path:
    """Write episodes, taken one by one, to a new folder; arguments and errors as `write_dataset`.

    No more than one frame of an episode is in memory, if its frames are decoded one by one. As in
    `collect_episodes`, ``beside`` writes what belongs to the dataset.
    """
    tasks: list[str] = []

    def noted(part: Iterable[Episode]) -> Iterator[Episode]:
        for episode in part:
            if episode.task not in tasks:
                tasks.append(episode.task)
            yield episode

    with new_folder(out) as root:
        stream, shards, episode, frame = iter(episodes), 0, 0, 0
        while (first := next(stream, None)) is not None:
            part = noted(chain([first], islice(stream, _SHARD - 1)))
            seeds = count(episode)
            episode, frame = write_shard(
                root, shards, episode, frame, seeds, part, tasks=tasks, fps=fps, camera="front"
            )
            shards += 1
        if not shards:
            raise UserError(f"Expected one recording or more for {out}, got none")
        if beside is not None:
            beside(root)
        finish_dataset(root, shards, fps=fps, tasks=tasks, robot=robot, names=names or {})
    return out


def checked(
    recording: Recording, number: int, like: CheckedRecording | None = None, camera: str = "front"
) -> CheckedRecording:
    """A recording with float32 numbers, an action for every row, and a name for every camera.

    Args:
        recording: To be looked at.
        number: Which one it is, for errors.
        like: One that it has to be alike, if there is one.
        camera: The name of a camera that has none.

    Raises:
        InputError: It is not as `Recording` says, or not like the other.
    """
    if not isinstance(recording, Recording):
        raise InputError(f"Expected a Recording, got {type(recording).__name__}")
    frames = (
        recording.frames if isinstance(recording.frames, Mapping) else {camera: recording.frames}
    )
    views = {str(name): _frames(view, f"recording {number}") for name, view in frames.items()}
    if not views:
        raise InputError(f"Expected frames of a camera in recording {number}, got none")
    steps = len(next(iter(views.values())))
    actions = np.array(recording.actions, np.float32)
    if actions.ndim == 2 and len(actions) == steps - 1:
        actions = np.concatenate([actions, np.zeros((1, actions.shape[1]), np.float32)])
    elif actions.ndim == 2 and len(actions) == steps and np.isnan(actions[-1]).all():
        actions[-1] = 0  # nothing was seen after it
    states = np.zeros((steps, 0)) if recording.states is None else recording.states
    objects = recording.objects
    episode = CheckedRecording(
        views,
        actions,
        np.asarray(states, np.float32),
        recording.task,
        None if objects is None else np.asarray(objects, np.float32),
    )
    _check_numbers(episode, steps, f"recording {number}")
    if like is not None and (told := _unlike(episode, like)):
        raise InputError(f"Expected recordings that are alike, got {told} in recording {number}")
    return episode


def named_widths(
    episode: CheckedRecording, names: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Names of components by feature key.

    Raises:
        InputError: They name something else, or not as many components as there are.
    """
    widths = {layout.ACTION: episode.actions.shape[1], layout.STATE: episode.states.shape[1]}
    if episode.objects is not None:
        widths[layout.ENVIRONMENT_STATE] = episode.objects.shape[1]
    for key, given in names.items():
        if key not in widths:
            raise InputError(f"Expected names of {', '.join(widths)}, got names of '{key}'")
        if len(given) != widths[key]:
            raise InputError(
                f"Expected {widths[key]} names of '{key}', as it is wide, got {len(given)}: "
                f"{', '.join(given)}"
            )
    return {key: tuple(given) for key, given in names.items()}


def _frames(frames: NDArray[np.uint8], source: str) -> Frames:
    frames = np.asarray(frames)
    if frames.dtype != np.uint8:
        raise InputError(
            f"Expected frames as uint8 in 0 to 255 in {source}, got {frames.dtype}; multiply by "
            "255 if they are in [0, 1], and convert them"
        )
    if frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise InputError(
            f"Expected frames [T,height,width,3] in {source}, got {list(frames.shape)}; put the "
            "channels last"
        )
    return frames


def _check_numbers(episode: CheckedRecording, steps: int, source: str) -> None:
    for name, frames in episode.frames.items():
        if len(frames) != steps:
            raise InputError(
                f"Expected {steps} frames of camera '{name}' in {source}, as of the first, got "
                f"{len(frames)}"
            )
    arrays = {"actions": episode.actions, "states": episode.states, "objects": episode.objects}
    for name, values in arrays.items():
        if values is None:
            continue
        if values.ndim != 2 or len(values) != steps:
            raise InputError(
                f"Expected {name} [{steps},width] in {source}, one row a frame, got "
                f"{list(values.shape)}"
            )
        try:
            check_finite(name, values)
        except UserError as error:
            raise InputError(f"{source}: {error}") from error
    if not episode.actions.shape[1]:
        raise InputError(f"Expected actions of one number or more in {source}, got none")


def _unlike(episode: CheckedRecording, like: CheckedRecording) -> str | None:
    """What is other in an episode, None if nothing is."""

    def described(one: CheckedRecording) -> dict[str, object]:
        sizes = {name: view.shape[1:3] for name, view in one.frames.items()}
        return {
            "cameras": list(one.frames),
            **{f"frames of camera '{name}'": size for name, size in sizes.items()},
            "actions of width": one.actions.shape[1],
            "states of width": one.states.shape[1],
            "objects of width": None if one.objects is None else one.objects.shape[1],
        }

    first = described(like)
    for name, value in described(episode).items():
        if value != first.get(name):
            return f"{name} {value} after {first.get(name)}"
    return None
