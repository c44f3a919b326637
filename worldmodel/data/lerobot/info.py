"""What ``meta/info.json`` of a LeRobotDataset says: versions 3.0 and 2.1 alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from worldmodel.data.cameras import Wanted, chosen_cameras
from worldmodel.data.lerobot import layout
from worldmodel.data.lerobot.columns import COLLECT_AGAIN
from worldmodel.errors import UserError
from worldmodel.files.json_file import read_json
from worldmodel.files.paths import check_template, inside

__all__ = ["RATE_TOLERANCE", "Feature", "Info", "camera_keys", "frame_size", "read_info"]

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
class Info:
    """What is read of info.json."""

    codebase_version: str
    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    features: Mapping[str, Feature]
    total_episodes: _Count
    data_path: str
    video_path: str | None = None
    chunks_size: Annotated[int, BeforeValidator(_whole), Field(ge=1)] = 1000

    @property
    def by_episode(self) -> bool:
        """Whether each episode has files of its own, as before version 3.0."""
        return self.codebase_version.startswith("v2.")


def read_info(root: Path, allow_links_outside: bool) -> Info:
    """Reads ``meta/info.json``.

    Raises:
        UserError: It is missing or damaged, of another version, or its paths cannot be filled in.
    """
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
        info = TypeAdapter(Info).validate_json(json.dumps(described), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"'{'.'.join(str(part) for part in first['loc'])}': " if first["loc"] else ""
        raise UserError(
            f"Cannot read {path} ({where}{first['msg']}). Delete it and {COLLECT_AGAIN}"
        ) from error
    if not info.codebase_version.startswith(("v3.", "v2.")):
        raise UserError(
            f"Expected a LeRobotDataset {layout.VERSION} or v2.1 in {root}, got "
            f"{info.codebase_version}. Convert it with LeRobot."
        )
    numbers = ("episode_chunk", "episode_index")
    fields = numbers if info.by_episode else ("chunk_index", "file_index")
    check_template(info.data_path, fields, f"{path}['data_path']")
    if info.video_path is not None:
        check_template(info.video_path, ("video_key", *fields), f"{path}['video_path']")
    return info


def camera_keys(root: Path, info: Info, wanted: Wanted) -> tuple[str, ...]:
    """Feature keys of the cameras that are asked for, by key, name or last part of the name.

    Raises:
        UserError: As `chosen_cameras`, or a camera's feature does not say what frames are like.
    """
    keys = [
        key
        for key, feature in info.features.items()
        if feature.dtype == "image" or (feature.dtype == "video" and info.video_path is not None)
    ]
    names = {layout.camera_name(key): key for key in keys}
    if len(names) < len(keys):  # only their whole keys tell them apart
        names = {key: key for key in keys}
    aliases = {key: name for name, key in names.items()}
    for name in names:
        last = name.rpartition(".")[2]
        if sum(other.rpartition(".")[2] == last for other in names) == 1:
            aliases[last] = name
    chosen = [names[name] for name in chosen_cameras([*names], wanted, str(root), aliases)]
    for key in chosen:
        _check_camera(root, info, key)
    return tuple(chosen)


def _check_camera(root: Path, info: Info, key: str) -> None:
    feature = info.features[key]
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


def frame_size(feature: Feature) -> tuple[int, int]:
    """Height and width of a camera's frames."""
    # LeRobot writes [height,width,channels]; some converted datasets put channels first.
    names = feature.names if isinstance(feature.names, list) else []
    sizes = {str(name): size for name, size in zip(names, feature.shape, strict=False)}
    height, width = feature.shape[:2]
    return sizes.get("height", height), sizes.get("width", width)
