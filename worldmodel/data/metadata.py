"""What the ``meta`` folder of a LeRobotDataset v3.0 says, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data import layout
from worldmodel.data.episode import Indices
from worldmodel.errors import UserError

__all__ = ["Metadata", "VideoPart", "read_metadata", "read_table"]

_COLLECT_AGAIN = (
    "rerun the collect command that made it (finished shards are kept), or copy it again."
)


@dataclass(frozen=True)
class VideoPart:
    """Where an episode's frames are: from ``start`` seconds on in the mp4 at ``path``."""

    path: Path
    start: float


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
        episode_files: The meta/episodes parquets, in order.
    """

    root: Path
    fps: float
    features: Mapping[str, Any]
    camera: str
    episodes: Indices
    lengths: Indices
    seeds: Indices | None
    tasks: Sequence[Sequence[str]]
    videos: Sequence[VideoPart]
    data: Sequence[Path]
    episode_files: Sequence[Path]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the camera's frames."""
        feature = self.features[self.camera]
        names: Sequence[str] = feature.get("names") or ()
        sizes = dict(zip(names, feature["shape"], strict=False))
        # LeRobot writes [height,width,channels]; some converted datasets put channels first.
        height, width = feature["shape"][:2]
        return sizes.get("height", height), sizes.get("width", width)

    @property
    def data_files(self) -> list[Path]:
        """The data parquets, in order."""
        return sorted(set(self.data))

    def names(self, feature: str) -> tuple[str, ...] | None:
        """Names of a vector's components; LeRobot has them as a list or as a dict of one list."""
        names: Any = self.features[feature].get("names")
        if isinstance(names, dict):
            names = next(iter(names.values()), None)
        return tuple(str(name) for name in names) if isinstance(names, list) else None

    def files(self) -> list[Path]:
        """Every file that frames, actions, states and episode bounds are read from."""
        return [*self.episode_files, *self.data_files, *sorted({v.path for v in self.videos})]


def read_metadata(root: Path, camera: str | None = None) -> Metadata:
    """Reads ``meta/info.json`` and ``meta/episodes`` and checks that the files they name exist.

    Raises:
        UserError: As `Dataset.open`.
    """
    info = _read_info(root)
    features: dict[str, Any] = info["features"]
    for feature in (layout.ACTION, layout.STATE):
        if feature not in features:
            raise UserError(
                f"Expected a feature '{feature}' in {root / layout.INFO_PATH}, got "
                f"{', '.join(features)}. Only datasets with actions and states can be used."
            )
    key = _camera(root, features, camera)

    paths = sorted((root / "meta/episodes").glob("*/*.parquet"))
    video = [f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")]
    columns = ["episode_index", "length", "data/chunk_index", "data/file_index", *video]
    tables = [read_table(path, columns, optional=["seed", "tasks"]) for path in paths]
    rows = pa.concat_tables(tables, promote_options="default") if tables else None
    count = rows.num_rows if rows is not None else 0
    if rows is None or not count or count != info["total_episodes"]:
        raise UserError(
            f"Expected {info['total_episodes']} episodes in {root}/meta/episodes, as info.json "
            f"says, got {count}. The dataset is incomplete: {_COLLECT_AGAIN}"
        )
    rows = rows.sort_by("episode_index")
    data = [
        root / info["data_path"].format(chunk_index=chunk, file_index=file)
        for chunk, file in zip(*(rows[c].to_pylist() for c in columns[2:4]), strict=True)
    ]
    videos = [
        VideoPart(root / info["video_path"].format(video_key=key, chunk_index=c, file_index=f), t)
        for c, f, t in zip(*(rows[c].to_pylist() for c in video), strict=True)
    ]
    for path in sorted({*data, *(v.path for v in videos)}):
        if not path.is_file():
            raise UserError(f"Expected the file {path}, which is missing: {_COLLECT_AGAIN}")
    return Metadata(
        root=root,
        fps=float(info["fps"]),
        features=features,
        camera=key,
        episodes=rows["episode_index"].to_numpy().astype(np.int64),
        lengths=rows["length"].to_numpy().astype(np.int64),
        seeds=rows["seed"].to_numpy().astype(np.int64) if "seed" in rows.column_names else None,
        tasks=rows["tasks"].to_pylist() if "tasks" in rows.column_names else [()] * count,
        videos=videos,
        data=data,
        episode_files=paths,
    )


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
    """Reads ``columns`` of a parquet, and those of ``optional`` that it has.

    Raises:
        UserError: The file cannot be read or lacks a column.
    """
    try:
        present = pq.read_schema(path).names
        if lacking := [c for c in columns if c not in present]:
            raise UserError(
                f"Expected the columns {', '.join(lacking)} in {path}, got {', '.join(present)}. "
                f"Convert the dataset to LeRobotDataset {layout.VERSION} with LeRobot."
            )
        return pq.read_table(path, columns=[*columns, *(c for c in optional if c in present)])
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"Cannot read {path}: it is missing, truncated or corrupt ({error}). {_remedy(path)}"
        ) from error


def _remedy(path: Path) -> str:
    return f"Delete it and {_COLLECT_AGAIN}"


def _read_info(root: Path) -> dict[str, Any]:
    path = root / layout.INFO_PATH
    if not path.is_file():
        if (root / "meta").is_dir():
            raise UserError(
                f"{root} holds an unfinished dataset (no {layout.INFO_PATH}): {_COLLECT_AGAIN}"
            )
        raise UserError(
            f"Expected a LeRobotDataset in {root}, got "
            f"{'a folder without meta' if root.is_dir() else 'no such folder'}. "
            f"Make one with: worldmodel collect out={root}"
        )
    try:
        info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = info["codebase_version"]
        _ = (
            info["features"],
            info["fps"],
            info["total_episodes"],
            info["data_path"],
            info["video_path"],
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UserError(f"Cannot read {path} ({error!r}). {_remedy(path)}") from error
    if not str(version).startswith("v3."):
        raise UserError(
            f"Expected a LeRobotDataset {layout.VERSION} in {root}, got {version}. Convert it with "
            "LeRobot's convert_dataset_v21_to_v30."
        )
    return info


def _camera(root: Path, features: Mapping[str, Any], wanted: str | None) -> str:
    cameras = [key for key, feature in features.items() if feature["dtype"] == "video"]
    stills = [key for key, feature in features.items() if feature["dtype"] == "image"]
    if not cameras:
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
    return chosen[0]
