"""Where a LeRobotDataset v2.1 (or v2.0) keeps its episodes: each in files of its own.

``meta/episodes.jsonl`` lists index, length and tasks. ``data_path`` and ``video_path`` of info.json
name the parquet of an episode, and an mp4 for each camera.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from worldmodel.data.lerobot import layout
from worldmodel.data.lerobot.info import Info
from worldmodel.data.lerobot.metadata import Metadata, VideoPart, paths_of
from worldmodel.data.lerobot.video import video_shape
from worldmodel.errors import UserError
from worldmodel.files.paths import inside

__all__ = ["read_metadata_v2"]

_THREADS = 2
_LONGEST_LINE = 2**20


@dataclass(frozen=True)
class _Line:
    """What is read of a line of episodes.jsonl."""

    episode_index: Annotated[int, Field(ge=0, lt=2**53)]
    length: Annotated[int, Field(ge=1, lt=2**53)]
    tasks: tuple[str, ...] = ()


_LINE = TypeAdapter(_Line)


def read_metadata_v2(
    root: Path, info: Info, keys: Sequence[str], *, allow_links_outside: bool = False
) -> Metadata:
    """Reads ``meta/episodes.jsonl`` and looks for the files that it speaks of.

    Args:
        root: The dataset's folder.
        info: What info.json says.
        keys: Feature keys of the chosen cameras.
        allow_links_outside: Whether files may be links that lead out of the folder.

    Raises:
        UserError: As `Dataset.open`.
    """
    listing = inside(root, layout.EPISODES_JSONL, str(root / "meta"), allow_links_outside)
    lines = sorted(_lines(listing), key=lambda line: line.episode_index)
    if not lines or len(lines) != info.total_episodes:
        raise UserError(
            f"Expected {info.total_episodes} episodes in {listing}, as info.json says, got "
            f"{len(lines)}. The dataset is incomplete: copy it again."
        )
    numbers = np.array([line.episode_index for line in lines], dtype=np.int64)
    if (again := np.diff(numbers) == 0).any():
        raise UserError(
            f"Expected each episode once in {listing}, got episode {numbers[again.argmax()]} "
            "twice. Convert the dataset again."
        )
    source = str(root / layout.INFO_PATH)

    def files(template: str, key: str = "") -> list[Path]:
        names = [
            template.format(
                video_key=key, episode_chunk=number // info.chunks_size, episode_index=number
            )
            for number in numbers.tolist()
        ]
        return paths_of(root, names, source, allow_links_outside)

    videos = {
        key: [VideoPart(path, 0.0, float("nan")) for path in files(info.video_path or "", key)]
        for key in keys
        if info.features[key].dtype == "video"
    }
    lengths = np.array([line.length for line in lines], dtype=np.int64)
    return Metadata(
        root=root,
        fps=info.fps,
        features=info.features,
        cameras=tuple(keys),
        episodes=numbers,
        lengths=lengths,
        seeds=None,
        tasks=[line.tasks for line in lines],
        videos=videos,
        data=files(info.data_path),
        sources=[listing] * len(lines),
        episode_files=[listing],
        unseen=_unseen(videos.values(), lengths),
    )


def _unseen(
    cameras: Iterable[Sequence[VideoPart]], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which episodes have a video that is one frame short, bool ``[E]``."""
    short = np.zeros(len(lengths), bool)
    with ThreadPoolExecutor(_THREADS) as threads:
        for parts in cameras:
            frames = threads.map(lambda part: video_shape(part.path)[0], parts)
            short |= np.fromiter(frames, np.int64, len(lengths)) == lengths - 1
    return short & (lengths > 1)


def _lines(path: Path) -> list[_Line]:
    found, number = list[_Line](), 0
    try:
        with path.open("rb") as file:
            while text := file.readline(_LONGEST_LINE):
                number += 1
                if text.strip():
                    found.append(_LINE.validate_json(text))
    except (OSError, ValidationError) as error:
        why = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")
        raise UserError(
            f"Cannot read {path}, line {number} ({why}). Mend it or copy the dataset again."
        ) from error
    return found
