"""What the ``meta`` folder of a LeRobotDataset v3.0 says, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from worldmodel.data.episode import Indices
from worldmodel.data.lerobot import layout
from worldmodel.data.lerobot.columns import (
    COLLECT_AGAIN,
    read_table,
    real_numbers,
    row_count,
    whole_numbers,
    words,
)
from worldmodel.errors import UserError
from worldmodel.files.json_file import read_json
from worldmodel.files.paths import check_template, inside

__all__ = ["RATE_TOLERANCE", "Feature", "Metadata", "VideoPart", "read_metadata"]

RATE_TOLERANCE = 0.05
"""Share by which nominal and real frame rates may differ.

29.97 for 30 is 0.1 %, and times in milliseconds make up to 3 % of a rate of 60. That no frame is
taken for another is seen to by its time.
"""


def _whole(value: object) -> object:
    """Whole numbers that were stored as floats are whole numbers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Count = Annotated[int, BeforeValidator(_whole), Field(ge=0)]


@dataclass(frozen=True)
class Feature:
    """A feature of info.json.

    Attributes:
        dtype: ``video``, ``image`` or that of numbers.
        shape: Of one frame or vector.
        names: Of its components or axes, in a form that differs between datasets.
        info: What was measured of videos.
    """

    dtype: str
    shape: tuple[_Count, ...] = ()
    names: Any = None
    info: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class _Info:
    """What is read of info.json."""

    codebase_version: str
    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    features: Mapping[str, Feature]
    total_episodes: _Count
    data_path: str
    video_path: str | None


@dataclass(frozen=True)
class VideoPart:
    """Where an episode's frames are: from ``start`` to ``end`` seconds in the mp4 at ``path``.

    ``end`` is NaN where it was not recorded.
    """

    path: Path
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Metadata:
    """A dataset's layout; E episodes in the order of their indices.

    Attributes:
        root: The dataset's folder.
        fps: Frames a second.
        features: The ``features`` of info.json.
        camera: Feature key of the chosen camera.
        episodes: Episode indices, int64 ``[E]``.
        lengths: Frames per episode, int64 ``[E]``.
        seeds: Seed per episode, int64 ``[E]``, or None.
        tasks: What each episode is about, ``[E]``.
        videos: Where each episode's frames are.
        data: Parquet that holds each episode's rows.
        sources: The meta/episodes parquet that says so of each episode.
        episode_files: The meta/episodes parquets, in order.
    """

    root: Path
    fps: float
    features: Mapping[str, Feature]
    camera: str
    episodes: Indices
    lengths: Indices
    seeds: Indices | None
    tasks: Sequence[Sequence[str]]
    videos: Sequence[VideoPart]
    data: Sequence[Path]
    sources: Sequence[Path]
    episode_files: Sequence[Path]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the camera's frames."""
        return _image_size(self.features[self.camera])

    @property
    def data_files(self) -> list[Path]:
        """The data parquets, in order."""
        return sorted(set(self.data))

    def names(self, feature: str) -> tuple[str, ...] | None:
        """Names of a vector's components; LeRobot has them as a list or as a dict of one list."""
        names = self.features[feature].names
        if isinstance(names, dict):
            names = next(iter(names.values()), None)
        return tuple(str(name) for name in names) if isinstance(names, list) else None

    def files(self) -> list[Path]:
        """Every file that frames, actions, states and episode bounds are read from."""
        return [*self.episode_files, *self.data_files, *sorted({v.path for v in self.videos})]


def read_metadata(
    root: Path, camera: str | None = None, *, allow_links_outside: bool = False
) -> Metadata:
    """Reads ``meta/info.json`` and ``meta/episodes`` and checks them against each other.

    Raises:
        UserError: As `Dataset.open`.
    """
    info = _read_info(root, allow_links_outside)
    for feature in (layout.ACTION, layout.STATE):
        if feature not in info.features:
            raise UserError(
                f"Expected a feature '{feature}' in {root / layout.INFO_PATH}, got "
                f"{', '.join(info.features)}. Only datasets with actions and states can be used."
            )
    key = _camera(root, info, camera)
    paths = [
        inside(root, path.relative_to(root), "meta/episodes", allow_links_outside)
        for path in sorted((root / "meta/episodes").glob("*/*.parquet"))
    ]
    count = sum(row_count(path) for path in paths)
    if not count or count != info.total_episodes:
        raise UserError(
            f"Expected {info.total_episodes} episodes in {root}/meta/episodes, as info.json "
            f"says, got {count}. The dataset is incomplete: {COLLECT_AGAIN}"
        )
    rows = [_read_episodes(path, key) for path in paths]
    episodes = np.concatenate([part.episodes for part in rows])
    order = np.argsort(episodes, kind="stable")
    if (again := np.diff(episodes[order]) == 0).any():
        places = np.repeat(np.arange(len(paths)), [len(part.episodes) for part in rows])[order]
        row = int(again.argmax())
        raise UserError(
            f"Expected each episode once in {root}/meta/episodes, got episode "
            f"{episodes[order][row]} in {paths[places[row]]} and in {paths[places[row + 1]]}. "
            "Convert the dataset again."
        )

    source, known = str(root / layout.INFO_PATH), dict[str, Path]()

    def files(template: str, numbers: Indices) -> list[Path]:
        found = []
        for chunk, file in numbers[order].tolist():
            name = template.format(video_key=key, chunk_index=chunk, file_index=file)
            if name not in known:
                known[name] = inside(root, name, source, allow_links_outside)
            found.append(known[name])
        return found

    data = files(info.data_path, np.concatenate([part.data for part in rows]))
    videos = files(info.video_path or "", np.concatenate([part.videos for part in rows]))
    starts = np.concatenate([part.starts for part in rows])[order].tolist()
    ends = np.concatenate([part.ends for part in rows])[order].tolist()
    seeds = [part.seeds for part in rows if part.seeds is not None]
    tasks = [task for part in rows for task in part.tasks]
    sources = [path for path, part in zip(paths, rows, strict=True) for _ in part.episodes]
    return Metadata(
        root=root,
        fps=info.fps,
        features=info.features,
        camera=key,
        episodes=episodes[order],
        lengths=np.concatenate([part.lengths for part in rows])[order],
        seeds=np.concatenate(seeds)[order] if len(seeds) == len(rows) else None,
        tasks=[tasks[place] for place in order],
        videos=[VideoPart(*part) for part in zip(videos, starts, ends, strict=True)],
        data=data,
        sources=[sources[place] for place in order],
        episode_files=paths,
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of a meta/episodes parquet; files are numbers of chunk and file ``[E,2]``."""

    episodes: Indices
    lengths: Indices
    data: Indices
    videos: Indices
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    seeds: Indices | None
    tasks: Sequence[Sequence[str]]


def _read_episodes(path: Path, key: str) -> _Rows:
    start, end = f"videos/{key}/from_timestamp", f"videos/{key}/to_timestamp"
    bounds = ["dataset_from_index", "dataset_to_index"]
    whole = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    whole += [f"videos/{key}/{name}" for name in ("chunk_index", "file_index")]
    table = read_table(path, [*whole, start], optional=[end, *bounds, "seed", "tasks"])
    numbers = {name: whole_numbers(table, name, path) for name in whole}
    episodes, lengths = numbers["episode_index"], numbers["length"]
    starts = real_numbers(table, start, path)

    def refuse(wrong: npt.NDArray[np.bool_], name: str, expected: str, got: object) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            values = np.asarray(got)
            raise UserError(
                f"Expected {expected} in {path}, column '{name}', got {values[row]:g} for episode "
                f"{episodes[row]} (row {row}). Mend the column or convert the dataset again."
            )

    refuse(lengths < 1, "length", "episodes of at least one frame", lengths)
    refuse(~(np.isfinite(starts) & (starts >= 0)), start, "times from 0 s on", starts)
    ends = np.full(len(episodes), np.nan)
    if end in table.column_names:
        ends = real_numbers(table, end, path)
        refuse(~(ends > starts), end, "times after from_timestamp", ends)
    if all(name in table.column_names for name in bounds):
        first, last = (whole_numbers(table, name, path) for name in bounds)
        refuse(last - first != lengths, bounds[1], "dataset_from_index + length", last)
    seeded = "seed" in table.column_names and not table["seed"].null_count
    named = "tasks" in table.column_names
    return _Rows(
        episodes=episodes,
        lengths=lengths,
        data=np.stack([numbers[name] for name in whole[2:4]], axis=1),
        videos=np.stack([numbers[name] for name in whole[4:]], axis=1),
        starts=starts,
        ends=ends,
        seeds=whole_numbers(table, "seed", path, least=None) if seeded else None,
        tasks=words(table, "tasks", path) if named else [()] * len(episodes),
    )


def _read_info(root: Path, allow_links_outside: bool) -> _Info:
    path = root / layout.INFO_PATH
    if not path.is_file():
        if (root / "meta").is_dir():
            raise UserError(
                f"{root} holds an unfinished dataset (no {layout.INFO_PATH}): {COLLECT_AGAIN}"
            )
        raise UserError(
            f"Expected a LeRobotDataset in {root}, got "
            f"{'a folder without meta' if root.is_dir() else 'no such folder'}. "
            f"Make one with: worldmodel collect out={root}"
        )
    inside(root, layout.INFO_PATH, "the dataset", allow_links_outside)
    described = read_json(path, f"Delete it and {COLLECT_AGAIN}")
    try:
        info = TypeAdapter(_Info).validate_json(json.dumps(described), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"'{'.'.join(str(part) for part in first['loc'])}': " if first["loc"] else ""
        raise UserError(
            f"Cannot read {path} ({where}{first['msg']}). Delete it and {COLLECT_AGAIN}"
        ) from error
    if not info.codebase_version.startswith("v3."):
        raise UserError(
            f"Expected a LeRobotDataset {layout.VERSION} in {root}, got {info.codebase_version}. "
            "Convert it with LeRobot's convert_dataset_v21_to_v30."
        )
    check_template(info.data_path, ("chunk_index", "file_index"), f"{path}['data_path']")
    if info.video_path is not None:
        fields = ("video_key", "chunk_index", "file_index")
        check_template(info.video_path, fields, f"{path}['video_path']")
    return info


def _camera(root: Path, info: _Info, wanted: str | None) -> str:
    cameras = [key for key, feature in info.features.items() if feature.dtype == "video"]
    stills = [key for key, feature in info.features.items() if feature.dtype == "image"]
    if not cameras or info.video_path is None:
        raise UserError(
            f"Expected a camera stored as video in {root}, got "
            f"{'only still images: ' + ', '.join(stills) if stills else 'none'}. "
            "Record or convert the dataset with videos."
        )
    chosen = [c for c in cameras if wanted is None or wanted in (c, c.rpartition(".")[2])]
    if len(chosen) != 1:
        raise UserError(
            f"Expected one camera in {root}, got {', '.join(cameras)}"
            f"{f', none of them {wanted!r}' if wanted else ''}. Choose one with camera=…"
        )
    key, feature = chosen[0], info.features[chosen[0]]
    if not key.isprintable():
        raise UserError(f"Expected the name of a camera in {root / layout.INFO_PATH}, got {key!r}.")
    source = f"{root / layout.INFO_PATH}, feature '{key}'"
    if len(feature.shape) != 3 or not all(1 <= size <= 16384 for size in feature.shape):
        raise UserError(
            f"Expected the shape [height, width, channels] of frames in {source}, got "
            f"{list(feature.shape)}. Mend it."
        )
    rate = (feature.info or {}).get("video.fps")
    if isinstance(rate, int | float) and not abs(rate / info.fps - 1) <= RATE_TOLERANCE:
        raise UserError(
            f"Expected one frame rate in {source}, got 'video.fps' {rate:g} where the dataset's "
            f"'fps' is {info.fps:g}. Correct the one that is wrong."
        )
    return key


def _image_size(feature: Feature) -> tuple[int, int]:
    # LeRobot writes [height,width,channels]; some converted datasets put channels first.
    names = feature.names if isinstance(feature.names, list) else []
    sizes = {str(name): size for name, size in zip(names, feature.shape, strict=False)}
    height, width = feature.shape[:2]
    return sizes.get("height", height), sizes.get("width", width)


def check_width(metadata: Metadata, feature: str, width: int, path: Path) -> None:
    """Raises UserError unless vectors are as wide as info.json says."""
    shape = metadata.features[feature].shape
    if (shape and prod(shape) != width) or (not width and feature == layout.ACTION):
        raise UserError(
            f"Expected '{feature}' of shape {list(shape)} in {path}, as meta/info.json says, got "
            f"{width} numbers a row. Correct the one that is wrong."
        )
