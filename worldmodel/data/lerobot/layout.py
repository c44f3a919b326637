"""Names that LeRobotDataset v3.0 fixes: paths, feature keys, and how files are numbered."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "ACTION",
    "DATA_PATH",
    "ENVIRONMENT_STATE",
    "EPISODES_JSONL",
    "EPISODES_PATH",
    "FILES_PER_CHUNK",
    "INFO_PATH",
    "STATE",
    "STATS_PATH",
    "TASKS_PATH",
    "TIMESTAMP",
    "VERSION",
    "VIDEO_PATH",
    "camera_key",
    "camera_name",
    "data_file",
    "episodes_file",
    "file_position",
    "video_file",
]

VERSION = "v3.0"
FILES_PER_CHUNK = 1000

INFO_PATH = "meta/info.json"
STATS_PATH = "meta/stats.json"
TASKS_PATH = "meta/tasks.parquet"
EPISODES_JSONL = "meta/episodes.jsonl"
"""Episodes of version 2."""

_FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
EPISODES_PATH = f"meta/episodes/{_FILE}.parquet"
DATA_PATH = f"data/{_FILE}.parquet"
VIDEO_PATH = f"videos/{{video_key}}/{_FILE}.mp4"

ACTION = "action"
STATE = "observation.state"
ENVIRONMENT_STATE = "observation.environment_state"
TIMESTAMP = "timestamp"


def camera_key(name: str) -> str:
    """The feature key of the camera called ``name``."""
    return f"observation.images.{name}"


def camera_name(key: str) -> str:
    """What a camera is called, by its feature key: ``front`` of ``observation.images.front``."""
    return key.removeprefix("observation.").removeprefix("images.")


def file_position(number: int) -> tuple[int, int]:
    """Chunk and file index of the ``number``-th file."""
    return divmod(number, FILES_PER_CHUNK)


def data_file(root: Path, number: int) -> Path:
    """Parquet of the ``number``-th file's actions, states and indices."""
    chunk, file = file_position(number)
    return root / DATA_PATH.format(chunk_index=chunk, file_index=file)


def episodes_file(root: Path, number: int) -> Path:
    """Parquet of the ``number``-th file's episode metadata."""
    chunk, file = file_position(number)
    return root / EPISODES_PATH.format(chunk_index=chunk, file_index=file)


def video_file(root: Path, number: int, key: str) -> Path:
    """The ``number``-th mp4 of the camera with feature key ``key``."""
    chunk, file = file_position(number)
    return root / VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)
