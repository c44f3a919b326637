"""Reading robomimic's HDF5 (Mandlekar et al. 2021, arXiv:2108.03298), and LIBERO's, which is alike.

One file, of which is read, T rows a demonstration::

    data                     attribute env_args: JSON with env_name, env_kwargs.control_freq
    data/demo_<n>/actions    [T,A]
    data/demo_<n>/obs/<key>  uint8 [T,h,w,3]: a camera, called <key> without _image or _rgb
    data/demo_<n>/obs/<key>  [T] or [T,width]: part of the state, keys in alphabetical order

``obs/object`` is what a simulator knows of objects, and no state of the robot, so it is left out,
as depth images are. Where ``obs`` has a row more than ``actions``, nothing followed it; where it
has one less, the last action is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

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
from worldmodel.data.oddities import missing_last_frames
from worldmodel.errors import UserError

__all__ = ["RobomimicDataset", "holds_robomimic"]

_USUAL_FPS = 20.0
"""robosuite's ``control_freq``, where a file does not say."""

_NOT_STATES = ("object",)


@dataclass(frozen=True, eq=False)
class _Demo:
    """What is read of a demonstration of T rows that have a frame."""

    name: str
    actions: Floats
    states: Floats
    sizes: tuple[tuple[int, int], ...]
    complete: bool


@dataclass(frozen=True, eq=False)
class RobomimicDataset(EpisodeDataset):
    """Demonstrations of a robomimic file, in the order of their numbers.

    Attributes:
        keys: The cameras' keys in ``obs``, by name.
        demos: The demonstrations' names.
    """

    keys: Mapping[str, str]
    demos: Sequence[str]

    @classmethod
    def open(cls, path: Path | str, cameras: Wanted = None) -> RobomimicDataset:
        """Opens a file.

        Args:
            path: The file.
            cameras: Names such as ``agentview``; None for the only one; () for all.

        Raises:
            UserError: The file is damaged or of another layout, has no images or no such camera, or
                a number is not finite.
            MissingExtraError: h5py is not installed; the extra ``hdf5`` has it.
        """
        path = Path(path)
        with opened(path) as file:
            if not (names := _demo_names(file)):
                raise UserError(
                    f"Expected demonstrations data/demo_<n> with actions and obs in {path}, got "
                    f"{', '.join(file) or 'an empty file'}. Extract observations with robomimic's "
                    "dataset_states_to_obs."
                )
            obs = file[f"data/{names[0]}/obs"]
            known = {_camera_name(key): key for key in sorted(obs) if is_frames(obs[key])}
            if not known:
                raise UserError(
                    f"Expected images uint8 [T,h,w,3] in {path}['data/{names[0]}/obs'], got "
                    f"{', '.join(sorted(obs))}. Extract them with robomimic's "
                    "dataset_states_to_obs --camera_names."
                )
            chosen = chosen_cameras([*known], cameras, str(path), {k: n for n, k in known.items()})
            keys = {name: known[name] for name in chosen}
            parts = _state_keys(obs)
            demos = [_read_demo(file[f"data/{name}"], name, keys, parts) for name in names]
            rate, task = _described(file["data"])
        fps = rate or _USUAL_FPS
        for demo in demos:
            if demo.sizes != demos[0].sizes or demo.actions.shape[1] != demos[0].actions.shape[1]:
                raise UserError(
                    f"Expected demonstrations of one action width and frame size in {path}, got "
                    f"{demo.name} unlike {demos[0].name}. Keep them in separate files."
                )
        lengths = np.array([len(demo.actions) for demo in demos], dtype=np.int64)
        unseen = sum(not demo.complete for demo in demos)
        return cls(
            root=path,
            cameras=chosen,
            frame_sizes=demos[0].sizes,
            lengths=lengths,
            tasks=[task] * len(demos),
            timestamps=np.concatenate([np.arange(length) / fps for length in lengths]),
            actions=np.concatenate([demo.actions for demo in demos]),
            states=np.concatenate([demo.states for demo in demos]),
            objects=None,
            extrinsics=None,
            state_names=tuple(name for key, width in parts.items() for name in _names(key, width)),
            remarks=missing_last_frames(unseen, len(demos)),
            timed=rate is not None,
            keys=keys,
            demos=names,
        )

    def camera_frames(self, camera: str, episode: int, steps: Indices) -> Iterator[Frames]:
        """Reads some frames of an episode; see `EpisodeDataset.camera_frames`."""
        key = f"data/{self.demos[episode]}/obs/{self.keys[camera]}"
        return each_stored_frame(self.root, key, steps)

    def timestamp_source(self, episode: int) -> str:
        """What an episode's timestamps are counted by, for errors."""
        return f"{self.root}['data/{self.demos[episode]}'], by control_freq"

    def fingerprint(self) -> str:
        """A key over all that frames, actions and states are read from, whatever the folder."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return content_key(f"robomimic {', '.join(self.cameras)}", self.root.parent, [self.root])


def holds_robomimic(file: Node) -> bool:
    """Whether an HDF5 file is laid out as robomimic does."""
    return bool(_demo_names(file))


def _demo_names(file: Node) -> list[str]:
    data = file.get("data")
    if not hasattr(data, "keys"):
        return []
    names = [name for name in data if name.startswith("demo_") and name[5:].isdigit()]
    complete = [name for name in names if {"actions", "obs"} <= set(data[name])]
    return sorted(complete, key=lambda name: int(name[5:])) if len(complete) == len(names) else []


def _camera_name(key: str) -> str:
    return key.removesuffix("_image").removesuffix("_rgb")


def _state_keys(obs: Node) -> dict[str, int]:
    """Widths of the parts of a state, by key."""
    arrays = {key: obs[key] for key in sorted(obs) if key not in _NOT_STATES}
    return {
        key: 1 if len(found.shape) == 1 else found.shape[1]
        for key, found in arrays.items()
        if len(getattr(found, "shape", ())) in (1, 2) and found.dtype.kind in "iuf"
    }


def _read_demo(demo: Node, name: str, keys: Mapping[str, str], parts: Mapping[str, int]) -> _Demo:
    obs = demo["obs"]
    found = [array_at(obs, key) for key in keys.values()]
    if wrong := [
        key for key, frames in zip(keys.values(), found, strict=True) if not is_frames(frames)
    ]:
        raise UserError(
            f"Expected images uint8 [T,h,w,3] in {demo.file.filename}, as in its first "
            f"demonstration, got others as 'data/{name}/obs/{wrong[0]}'. Leave them out."
        )
    actions = values(numbers_at(demo, "actions", (None, None)))
    rows, frames = len(actions), min(len(view) for view in found)
    if frames not in (rows - 1, rows, rows + 1):
        raise UserError(
            f"Expected {rows} frames in {demo.file.filename}['data/{name}/obs'], one for each "
            f"action, got {frames}. Leave out the demonstration."
        )
    seen = min(frames, rows + 1)
    if seen > rows:
        actions = np.concatenate([actions, np.zeros((1, actions.shape[1]))])
    states = [_part(obs, key, width, seen) for key, width in parts.items()]
    return _Demo(
        name,
        actions[:seen].astype(np.float32),
        np.concatenate([np.zeros((seen, 0)), *states], axis=1).astype(np.float32),
        tuple(frame_size(view) for view in found),
        seen >= rows,
    )


def _part(obs: Node, key: str, width: int, rows: int) -> Any:
    found = array_at(obs, key)
    shape = (None,) if len(found.shape) == 1 else (None, width)
    part = values(numbers_at(obs, key, shape)).reshape(-1, width)
    if len(part) < rows:
        raise UserError(
            f"Expected {rows} rows in {obs.file.filename}['{obs.name.lstrip('/')}/{key}'], one for "
            f"each frame, got {len(part)}. Leave out the demonstration."
        )
    return part[:rows]


def _names(key: str, width: int) -> list[str]:
    return [key] if width == 1 else [f"{key}.{number}" for number in range(width)]


def _described(data: Node) -> tuple[float | None, tuple[str, ...]]:
    """Frames a second, and the task, as the attributes say; None where they do not."""
    described = {name: _json(data.attrs.get(name)) for name in ("env_args", "problem_info")}
    kwargs = described["env_args"].get("env_kwargs")
    rate = kwargs.get("control_freq") if isinstance(kwargs, dict) else None
    fps = float(rate) if isinstance(rate, int | float) and 0 < rate < 1e6 else None
    told = (
        described["problem_info"].get("language_instruction"),
        described["env_args"].get("env_name"),
    )
    return fps, tuple(word for word in told if isinstance(word, str))[:1]


def _json(text: object) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str | bytes) else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
