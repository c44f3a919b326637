"""Writing a LeRobotDataset v3.0, shard by shard.

A shard is one data parquet, one mp4 and one meta/episodes parquet with the same file number. Shards
are written independently of each other (`write_shard`), by any process and in any order;
`finish_dataset` then writes info, statistics and tasks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from worldmodel.data.episode import (
    Episode,
    Frames,
    FrameStream,
    check_episode,
    frames_by_camera,
)
from worldmodel.data.lerobot import layout
from worldmodel.data.lerobot.statistics import (
    frame_statistics,
    merged,
    sampled_frames,
    vector_statistics,
)
from worldmodel.data.lerobot.video import FrameSink, plain_number, video_info, writing_video
from worldmodel.errors import UserError
from worldmodel.files.atomic import as_json, replacing, write_json, write_table
from worldmodel.files.checksums import write_checksums

__all__ = ["finish_dataset", "shard_range", "write_shard"]

_FRAME_INDICES = ("frame_index", "episode_index", "index", "task_index")
_STATISTICS = ("min", "max", "mean", "std", "count")


def write_shard(
    root: Path,
    shard: int,
    first_episode: int,
    first_frame: int,
    seeds: Iterable[int],
    episodes: Iterable[Episode],
    *,
    tasks: Sequence[str],
    fps: float,
    camera: str,
) -> tuple[int, int]:
    """Writes ``episodes``, taken one by one, as shard number ``shard``; its metadata comes last.

    Args:
        root: The dataset's folder.
        shard: File number of the shard.
        first_episode: Index of its first episode in the dataset.
        first_frame: Index of its first frame in the dataset.
        seeds: One per episode or more, recorded in the episode metadata.
        episodes: Episodes of any lengths, but of one set of cameras, frame sizes and vector widths.
        tasks: All tasks of the dataset, in words; its episodes are about one of them each.
        fps: Frames a second.
        camera: The camera's name, where frames come without one.

    Returns:
        Indices of the episode and of the frame that come next.

    Raises:
        UserError: An episode does not have the shapes and dtypes of `Episode`, or not those of the
            shard's first, or are about none of ``tasks``.
    """
    chunk, file = layout.file_position(shard)
    stream = iter(episodes)
    first = next(stream)
    check_episode(first, like=first)
    tables: list[pa.Table] = []
    rows: list[dict[str, Any]] = []
    begin = first_frame
    with ExitStack() as files:
        sinks = {
            layout.camera_key(name): _sink(files, root, shard, layout.camera_key(name), fps, frames)
            for name, frames in frames_by_camera(first, camera).items()
        }
        for number, (episode, seed) in enumerate(zip(chain([first], stream), seeds, strict=False)):
            check_episode(episode, like=first)
            if episode.task not in tasks:
                raise UserError(
                    f"Expected an episode about one of {', '.join(tasks)}, got '{episode.task}'. "
                    "Name its task in tasks=…"
                )
            end = begin + len(episode.actions)
            task = tasks.index(episode.task)
            columns = _columns(episode, first_episode + number, begin, task, fps)
            statistics = {name: vector_statistics(values) for name, values in columns.items()}
            for name, frames in frames_by_camera(episode, camera).items():
                key = layout.camera_key(name)
                statistics[key] = frame_statistics(_written(sinks[key], frames))
            tables.append(pa.table({name: _column(values) for name, values in columns.items()}))
            rows.append(
                {
                    "episode_index": first_episode + number,
                    "tasks": [episode.task],
                    "length": end - begin,
                    "seed": seed,
                    "data/chunk_index": chunk,
                    "data/file_index": file,
                    "dataset_from_index": begin,
                    "dataset_to_index": end,
                    **{
                        f"videos/{key}/{name}": value
                        for key in sinks
                        for name, value in (
                            ("chunk_index", chunk),
                            ("file_index", file),
                            ("from_timestamp", (begin - first_frame) / fps),
                            ("to_timestamp", (end - first_frame) / fps),
                        )
                    },
                    **{
                        f"stats/{feature}/{name}": value.tolist()
                        for feature, values in statistics.items()
                        for name, value in values.items()
                    },
                    "meta/episodes/chunk_index": chunk,
                    "meta/episodes/file_index": file,
                }
            )
            begin = end
    write_table(layout.data_file(root, shard), pa.concat_tables(tables))
    write_table(layout.episodes_file(root, shard), pa.Table.from_pylist(rows))
    return first_episode + len(rows), begin


def _sink(
    files: ExitStack, root: Path, shard: int, key: str, fps: float, frames: FrameStream
) -> FrameSink:
    """What appends to a camera's video, which appears when the files are closed."""
    temporary = files.enter_context(replacing(layout.video_file(root, shard, key)))
    height, width = frames.shape[1:3]
    return files.enter_context(writing_video(temporary, fps, height, width))


def _written(append: FrameSink, frames: FrameStream) -> Frames:
    """Appends frames one by one; returns those that statistics are of, ``[n,h,w,3]``."""
    wanted, kept, number = set(sampled_frames(frames.shape[0])), [], -1
    for number, frame in enumerate(frames):
        append(frame[None])
        if number in wanted:
            kept.append(frame)
    if number + 1 != frames.shape[0]:
        raise UserError(f"Expected {frames.shape[0]} frames of an episode, got {number + 1}.")
    return np.stack(kept)


def shard_range(root: Path, shard: int, camera: str) -> tuple[int, int] | None:
    """First and one-past-last episode of a shard that is on disk whole, else None."""
    try:
        pq.read_metadata(layout.data_file(root, shard))
        if not layout.video_file(root, shard, layout.camera_key(camera)).is_file():
            return None
        episodes = pq.read_table(layout.episodes_file(root, shard), columns=["episode_index"])
    except (OSError, pa.ArrowException):
        return None
    indices = episodes["episode_index"].to_numpy()
    return int(indices[0]), int(indices[-1]) + 1


def finish_dataset(
    root: Path,
    shards: int,
    *,
    fps: float,
    tasks: Sequence[str],
    camera: str | None = None,
    robot: str | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Writes statistics, tasks, checksums and, last, info of a dataset whose shards are all there.

    Args:
        root: The dataset's folder.
        shards: How many shards it has.
        fps: Frames a second.
        tasks: The tasks of the dataset, in words.
        camera: The name of its only camera; None for all that the shards have.
        robot: LeRobot's ``robot_type``.
        names: Names of the components of vector features, by feature key.
    """
    _renumber(root, shards)
    rows = pa.concat_tables(pq.read_table(layout.episodes_file(root, n)) for n in range(shards))
    episodes, frames = rows.num_rows, rows["dataset_to_index"][-1].as_py()
    keys = _camera_keys(rows) if camera is None else [layout.camera_key(camera)]
    write_json(root / layout.STATS_PATH, _dataset_statistics(rows))
    write_table(root / layout.TASKS_PATH, _tasks(tasks))
    info = {
        "codebase_version": layout.VERSION,
        "robot_type": robot,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": len(tasks),
        "chunks_size": layout.FILES_PER_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 500,
        "fps": plain_number(fps),
        "splits": {"train": f"0:{episodes}"},
        "data_path": layout.DATA_PATH,
        "video_path": layout.VIDEO_PATH,
        "features": _features(root, keys, names or {}),
    }
    places: list[Callable[[Path, int], Path]] = [layout.data_file, layout.episodes_file]
    places += [partial(layout.video_file, key=key) for key in keys]
    files = [place(root, number) for place in places for number in range(shards)]
    write_checksums(root, files, **{layout.INFO_PATH: as_json(info)})
    write_json(root / layout.INFO_PATH, info)


def _renumber(root: Path, shards: int) -> None:
    """Let the frames of all shards count on, where episodes were shorter than was thought."""
    begin = 0
    for shard in range(shards):
        file = layout.episodes_file(root, shard)
        rows = pq.read_table(file)
        ends = rows["dataset_to_index"].to_numpy()
        if late := int(rows["dataset_from_index"][0].as_py()) - begin:
            data = layout.data_file(root, shard)
            write_table(data, _shifted(pq.read_table(data), ("index",), late))
            write_table(file, _shifted(rows, ("dataset_from_index", "dataset_to_index"), late))
        begin = int(ends[-1]) - late


def _shifted(table: pa.Table, columns: Sequence[str], by: int) -> pa.Table:
    for name in columns:
        place = table.column_names.index(name)
        table = table.set_column(place, name, pc.subtract(table[name], by))
    return table


def _camera_keys(episodes: pa.Table) -> list[str]:
    """Feature keys of the cameras that episodes have videos of."""
    end = "/from_timestamp"
    named = [column for column in episodes.column_names if column.endswith(end)]
    return [column.removeprefix("videos/").removesuffix(end) for column in named]


def _columns(
    episode: Episode, number: int, first_frame: int, task: int, fps: float
) -> dict[str, Any]:
    """The data rows of the ``number``-th episode, which begins at ``first_frame``."""
    steps = np.arange(len(episode.actions), dtype=np.int64)
    columns: dict[str, Any] = {layout.STATE: episode.states} if episode.states.shape[1] else {}
    columns[layout.ACTION] = episode.actions
    if episode.objects is not None:
        columns[layout.ENVIRONMENT_STATE] = episode.objects
    columns[layout.TIMESTAMP] = (steps / fps).astype(np.float32)
    columns["frame_index"] = steps
    columns["episode_index"] = np.full_like(steps, number)
    columns["index"] = first_frame + steps
    columns["task_index"] = np.full_like(steps, task)
    return columns


def _column(values: np.ndarray[Any, Any]) -> pa.Array:
    """LeRobot stores vectors as fixed-size lists and vectors of width 1 as plain numbers."""
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    width = values.shape[1] if values.ndim == 2 else 1
    return flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)


def _dataset_statistics(episodes: pa.Table) -> dict[str, Any]:
    features = [c.split("/")[1] for c in episodes.column_names if c.endswith("/mean")]
    parts = {f: {s: episodes[f"stats/{f}/{s}"].to_pylist() for s in _STATISTICS} for f in features}
    return {f: {s: v.tolist() for s, v in merged(p).items()} for f, p in parts.items()}


def _tasks(tasks: Sequence[str]) -> pa.Table:
    """The tasks as pandas writes them: LeRobot looks a task up in the frame's index."""
    columns = (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": c, "field_name": c, "pandas_type": p, "numpy_type": n, "metadata": None}
            for c, p, n in columns
        ],
        "pandas_version": "2.0.0",
    }
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": list(tasks)})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _features(
    root: Path, cameras: Sequence[str], names: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The ``features`` of info.json, as the first shard has them."""
    schema = pq.read_schema(layout.data_file(root, 0))
    features: dict[str, Any] = {}
    for field in schema:
        vector = pa.types.is_fixed_size_list(field.type)
        features[field.name] = {
            "dtype": "float32" if field.name not in _FRAME_INDICES else "int64",
            "shape": [field.type.list_size if vector else 1],
            "names": list(names[field.name]) if field.name in names else None,
        }
    for camera in cameras:
        info = video_info(layout.video_file(root, 0, camera))
        features[camera] = {
            "dtype": "video",
            "shape": [info["video.height"], info["video.width"], 3],
            "names": ["height", "width", "channels"],
            "info": info,
        }
    return features
