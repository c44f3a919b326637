"""Where a LeRobotDataset v3.0 keeps its episodes, as its ``meta`` folder says, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

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
from worldmodel.data.lerobot.info import Feature, Info, frame_size
from worldmodel.errors import UserError
from worldmodel.files.paths import inside

__all__ = ["Metadata", "VideoPart", "check_width", "paths_of", "read_metadata"]


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
        cameras: Feature keys of the chosen cameras.
        episodes: Episode indices, int64 ``[E]``.
        lengths: Frames per episode, int64 ``[E]``.
        seeds: Seed per episode, int64 ``[E]``, or None.
        tasks: What each episode is about, ``[E]``.
        videos: Where each episode's frames are, by the feature key of a camera; cameras that
            store images have none.
        data: Parquet that holds each episode's rows.
        sources: The meta/episodes parquet that says so of each episode.
        episode_files: The files of ``meta`` that hold episodes, in order.
        unseen: Whether an episode's last row has no frame, bool ``[E]``.
    """

    root: Path
    fps: float
    features: Mapping[str, Feature]
    cameras: tuple[str, ...]
    episodes: Indices
    lengths: Indices
    seeds: Indices | None
    tasks: Sequence[Sequence[str]]
    videos: Mapping[str, Sequence[VideoPart]]
    data: Sequence[Path]
    sources: Sequence[Path]
    episode_files: Sequence[Path]
    unseen: npt.NDArray[np.bool_]

    @property
    def frame_sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each camera's frames."""
        return tuple(frame_size(self.features[key]) for key in self.cameras)

    @property
    def data_files(self) -> list[Path]:
        """The data parquets, in order."""
        return sorted(set(self.data))

    def names(self, feature: str) -> tuple[str, ...] | None:
        """Names of a vector's components; LeRobot has them as a list or as a dict of one list."""
        names = self.features[feature].names if feature in self.features else None
        if isinstance(names, dict):
            names = next(iter(names.values()), None)
        return tuple(str(name) for name in names) if isinstance(names, list) else None

    def files(self) -> list[Path]:
        """Every file that frames, actions, states and episode bounds are read from."""
        videos = {part.path for parts in self.videos.values() for part in parts}
        return [*self.episode_files, *self.data_files, *sorted(videos)]


def read_metadata(
    root: Path, info: Info, keys: Sequence[str], *, allow_links_outside: bool = False
) -> Metadata:
    """Reads ``meta/episodes`` and checks it against ``meta/info.json``.

    Args:
        root: The dataset's folder.
        info: What info.json says.
        keys: Feature keys of the chosen cameras.
        allow_links_outside: Whether files may be links that lead out of the folder.

    Raises:
        UserError: As `Dataset.open`.
    """
    videos_of = [key for key in keys if info.features[key].dtype == "video"]
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
    rows = [_read_episodes(path, videos_of) for path in paths]
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

    source = str(root / layout.INFO_PATH)

    def files(template: str, numbers: Indices, key: str = "") -> list[Path]:
        names = [
            template.format(video_key=key, chunk_index=chunk, file_index=file)
            for chunk, file in numbers[order].tolist()
        ]
        return paths_of(root, names, source, allow_links_outside)

    def parts(key: str) -> list[VideoPart]:
        held = [part.videos[key] for part in rows]
        paths = files(info.video_path or "", np.concatenate([part.files for part in held]), key)
        starts = np.concatenate([part.starts for part in held])[order].tolist()
        ends = np.concatenate([part.ends for part in held])[order].tolist()
        return [VideoPart(*part) for part in zip(paths, starts, ends, strict=True)]

    data = files(info.data_path, np.concatenate([part.data for part in rows]))
    seeds = [part.seeds for part in rows if part.seeds is not None]
    tasks = [task for part in rows for task in part.tasks]
    sources = [path for path, part in zip(paths, rows, strict=True) for _ in part.episodes]
    return Metadata(
        root=root,
        fps=info.fps,
        features=info.features,
        cameras=tuple(keys),
        episodes=episodes[order],
        lengths=np.concatenate([part.lengths for part in rows])[order],
        seeds=np.concatenate(seeds)[order] if len(seeds) == len(rows) else None,
        tasks=[tasks[place] for place in order],
        videos={key: parts(key) for key in videos_of},
        data=data,
        sources=[sources[place] for place in order],
        episode_files=paths,
        unseen=np.zeros(len(episodes), bool),
    )


def paths_of(
    root: Path, names: Sequence[str], source: str, allow_links_outside: bool
) -> list[Path]:
    """Existing files below ``root``, of which each is looked for once; errors as `inside`."""
    known = {name: inside(root, name, source, allow_links_outside) for name in dict.fromkeys(names)}
    return [known[name] for name in names]


@dataclass(frozen=True, eq=False)
class _Videos:
    """A camera's columns of a meta/episodes parquet."""

    files: Indices
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of a meta/episodes parquet; files are numbers of chunk and file ``[E,2]``."""

    episodes: Indices
    lengths: Indices
    data: Indices
    videos: Mapping[str, _Videos]
    seeds: Indices | None
    tasks: Sequence[Sequence[str]]


def _read_episodes(path: Path, keys: Sequence[str]) -> _Rows:
    bounds = ["dataset_from_index", "dataset_to_index"]
    whole = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    whole += [f"videos/{key}/{name}" for key in keys for name in ("chunk_index", "file_index")]
    starts = [f"videos/{key}/from_timestamp" for key in keys]
    ends = [f"videos/{key}/to_timestamp" for key in keys]
    table = read_table(path, [*whole, *starts], optional=[*ends, *bounds, "seed", "tasks"])
    numbers = {name: whole_numbers(table, name, path) for name in whole}
    episodes, lengths = numbers["episode_index"], numbers["length"]

    def refuse(wrong: npt.NDArray[np.bool_], name: str, expected: str, got: object) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            values = np.asarray(got)
            raise UserError(
                f"Expected {expected} in {path}, column '{name}', got {values[row]:g} for episode "
                f"{episodes[row]} (row {row}). Mend the column or convert the dataset again."
            )

    def videos(key: str) -> _Videos:
        start, end = f"videos/{key}/from_timestamp", f"videos/{key}/to_timestamp"
        begins = real_numbers(table, start, path)
        refuse(~(np.isfinite(begins) & (begins >= 0)), start, "times from 0 s on", begins)
        stops = np.full(len(episodes), np.nan)
        if end in table.column_names:
            stops = real_numbers(table, end, path)
            refuse(~(stops > begins), end, "times after from_timestamp", stops)
        files = [numbers[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index")]
        return _Videos(np.stack(files, axis=1), begins, stops)

    refuse(lengths < 1, "length", "episodes of at least one frame", lengths)
    seen = {key: videos(key) for key in keys}
    if all(name in table.column_names for name in bounds):
        first, last = (whole_numbers(table, name, path) for name in bounds)
        refuse(last - first != lengths, bounds[1], "dataset_from_index + length", last)
    seeded = "seed" in table.column_names and not table["seed"].null_count
    named = "tasks" in table.column_names
    return _Rows(
        episodes=episodes,
        lengths=lengths,
        data=np.stack([numbers[name] for name in whole[2:4]], axis=1),
        videos=seen,
        seeds=whole_numbers(table, "seed", path, least=None) if seeded else None,
        tasks=words(table, "tasks", path) if named else [()] * len(episodes),
    )


def check_width(metadata: Metadata, feature: str, width: int, path: Path) -> None:
    """Raises UserError unless vectors are as wide as info.json says."""
    shape = metadata.features[feature].shape
    if (shape and prod(shape) != width) or (not width and feature == layout.ACTION):
        raise UserError(
            f"Expected '{feature}' of shape {list(shape)} in {path}, as meta/info.json says, got "
            f"{width} numbers a row. Correct the one that is wrong."
        )
