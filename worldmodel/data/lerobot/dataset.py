"""Reading a LeRobotDataset v3.0 with one camera, actions and states, whoever wrote it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worldmodel.data.episode import Floats, Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset, content_key
from worldmodel.data.lerobot import layout
from worldmodel.data.lerobot.alignment import check_videos
from worldmodel.data.lerobot.columns import (
    read_table,
    real_numbers,
    row_count,
    vectors,
    whole_numbers,
)
from worldmodel.data.lerobot.metadata import Metadata, check_width, read_metadata
from worldmodel.data.lerobot.video import each_frame
from worldmodel.errors import UserError
from worldmodel.files.checksums import checked_digest, read_checksums

__all__ = ["Dataset"]

_LARGEST = 1e18
"""Of an action or a state; float32 still holds its square."""


@dataclass(frozen=True, eq=False)
class Dataset(EpisodeDataset):
    """A LeRobotDataset v3.0; ``camera`` is a feature key.

    The column ``timestamp`` says when a frame was taken; where it is missing, ``frame_index`` over
    the dataset's frame rate does. In the video, frames follow each other at that rate.

    Attributes:
        metadata: What ``meta/`` says.
    """

    metadata: Metadata

    @classmethod
    def open(
        cls, root: Path | str, camera: str | None = None, *, allow_links_outside: bool = False
    ) -> Dataset:
        """Opens the dataset in the folder ``root``.

        All that its metadata says is checked against the rows and the times of the videos' frames.
        An episode's last action, which nothing follows, may be NaN and is then read as zero.

        Args:
            root: The folder that contains ``meta/info.json``.
            camera: A camera's feature key or its last part; may be left out when there is only one.
            allow_links_outside: Whether files may be symbolic links that lead out of the folder,
                as in the cache of Hugging Face.

        Raises:
            UserError: No dataset is there, it is incomplete or of another format version, names
                files outside of its folder, or contradicts itself; the camera, the actions or the
                states are missing, not finite or no numbers; or timestamps run backwards.
        """
        metadata = read_metadata(Path(root), camera, allow_links_outside=allow_links_outside)
        _check_row_count(metadata)
        check_videos(metadata)
        columns = [layout.ACTION, layout.STATE]
        columns += [c for c in [layout.ENVIRONMENT_STATE] if c in metadata.features]
        timestamps, vectors = _read_data(metadata, columns)
        _mask_unused(vectors[layout.ACTION], metadata)
        for name, values in vectors.items():
            _refuse_nonfinite(values, name, metadata)
        dataset = cls(
            root=metadata.root,
            camera=metadata.camera,
            image_size=metadata.image_size,
            lengths=metadata.lengths,
            tasks=metadata.tasks,
            timestamps=timestamps,
            actions=vectors[layout.ACTION],
            states=vectors[layout.STATE],
            objects=vectors.get(layout.ENVIRONMENT_STATE),
            extrinsics=None,
            metadata=metadata,
        )
        _check_seconds(timestamps, metadata)
        return dataset

    @property
    def fps(self) -> float:
        """Frames, and control steps, a second."""
        return self.metadata.fps

    @property
    def seeds(self) -> Indices | None:
        """Seed of each episode, int64 ``[E]``, where they were recorded."""
        return self.metadata.seeds

    @property
    def action_names(self) -> tuple[str, ...] | None:
        """Names of the action's components, where they were recorded."""
        return self.metadata.names(layout.ACTION)

    @property
    def state_names(self) -> tuple[str, ...] | None:
        """Names of the state's components, where they were recorded."""
        return self.metadata.names(layout.STATE)

    def each_frame(self, episode: int, steps: Indices) -> Iterator[Frames]:
        """Decodes some frames of an episode; see `EpisodeDataset.each_frame`."""
        video = self.metadata.videos[episode]
        for frame in each_frame(video.path, video.start, steps, self.fps):
            if frame.shape[:2] != self.image_size:
                raise UserError(
                    f"Expected frames of {self.image_size} in {video.path}, as meta/info.json "
                    f"says, got {frame.shape[:2]}. Correct the feature's shape in meta/info.json."
                )
            yield frame

    def timestamp_source(self, episode: int) -> str:
        """File and key of an episode's timestamps, for errors."""
        return f"{self.metadata.data[episode]}['{layout.TIMESTAMP}']"

    def fingerprint(self) -> str:
        """A key over all that frames, actions and states are read from, whatever the folder."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        root = self.root
        checked_digest(root / layout.INFO_PATH, root, read_checksums(root))
        return content_key(f"{self.camera} {self.fps}", root, self.metadata.files())


def _check_row_count(metadata: Metadata) -> None:
    """Raises UserError unless the files have as many rows as episodes; before any is read."""
    expected = sum(int(length) for length in metadata.lengths)
    if (rows := sum(row_count(path) for path in metadata.data_files)) != expected:
        raise UserError(
            f"Expected {expected} frames in {metadata.root}/data, as 'length' in meta/episodes "
            f"says, got {rows} rows that do not match. Copy the dataset again."
        )


def _read_data(
    metadata: Metadata, columns: Sequence[str]
) -> tuple[npt.NDArray[np.float64], dict[str, Floats]]:
    """Timestamps ``[F]`` and vectors ``[F,width]`` of all episodes in order."""
    order, times = [], []
    parts: list[dict[str, Floats]] = []
    held = defaultdict[Path, list[int]](list)
    for number, path in enumerate(metadata.data):
        held[path].append(number)
    for path in metadata.data_files:
        table = read_table(path, [*columns, "episode_index", "frame_index"], [layout.TIMESTAMP])
        if not table.num_rows:
            continue
        episodes, steps = (whole_numbers(table, c, path) for c in ("episode_index", "frame_index"))
        _check_rows(metadata, path, held[path], episodes, steps)
        order.append(np.stack([steps, episodes]))
        times.append(_timestamps(table, steps / metadata.fps, path))
        part = {name: vectors(table, name, path) for name in columns}
        for name, values in part.items():
            check_width(metadata, name, values.shape[1], path)
            if parts and values.shape[1] != (width := parts[0][name].shape[1]):
                raise UserError(
                    f"Expected '{name}' of width {width} in {path}, as in "
                    f"{metadata.data_files[0]}, got {values.shape[1]}. Convert the dataset again."
                )
        parts.append(part)
    rows = np.lexsort(np.concatenate(order, axis=1))
    return (
        np.concatenate(times)[rows],
        {name: np.concatenate([part[name] for part in parts])[rows] for name in columns},
    )


def _check_rows(
    metadata: Metadata, path: Path, here: list[int], episodes: Indices, steps: Indices
) -> None:
    """Raises UserError unless a file holds the frames of the episodes ``here``, all of them."""
    lengths = dict(zip(metadata.episodes[here].tolist(), metadata.lengths[here], strict=True))
    found = dict(zip(*(x.tolist() for x in np.unique(episodes, return_counts=True)), strict=True))
    for episode in sorted({*lengths, *found}):
        if lengths.get(episode, 0) != found.get(episode, 0):
            raise UserError(
                f"Expected {lengths.get(episode, 0)} rows of episode {episode} in {path}, as "
                f"'length' in meta/episodes says, got {found.get(episode, 0)} rows with that "
                "'episode_index'. Copy the dataset again."
            )
    order = np.lexsort((steps, episodes))
    firsts = np.cumsum([0, *(lengths[e] for e in sorted(lengths))])[:-1]
    counted = np.arange(len(steps)) - np.repeat(firsts, [lengths[e] for e in sorted(lengths)])
    if (wrong := steps[order] != counted).any():
        row = int(order[wrong.argmax()])
        raise UserError(
            f"Expected the frames of episode {episodes[row]} in {path} to be numbered from 0 on, "
            f"got 'frame_index' {steps[row]} in row {row} where {counted[wrong.argmax()]} should "
            "follow. Convert the dataset again."
        )


def _timestamps(
    table: pa.Table, regular: npt.NDArray[np.float64], path: Path
) -> npt.NDArray[np.float64]:
    """Seconds ``[F]``: as recorded, else as the frame rate has it."""
    if layout.TIMESTAMP not in table.column_names:
        return regular
    given = np.asarray(table[layout.TIMESTAMP].is_valid())
    if not given.any():
        return regular
    return np.where(given, real_numbers(table, layout.TIMESTAMP, path), regular)


def _check_seconds(times: npt.NDArray[np.float64], metadata: Metadata) -> None:
    """Cameras pause and drift, but another unit than seconds is far from the frame rate."""
    ends = np.cumsum(metadata.lengths)
    for episode, seconds in enumerate(np.split(times, ends[:-1])):
        step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1 / metadata.fps
        if not 0.1 < step * metadata.fps < 10:
            raise UserError(
                f"Expected '{layout.TIMESTAMP}' in s, about {1 / metadata.fps:.3g} from frame to "
                f"frame as fps in {metadata.root / layout.INFO_PATH} says, got {step:.3g} in "
                f"episode {metadata.episodes[episode]} of {metadata.data[episode]}. Convert the "
                "column, or correct fps."
            )


def _mask_unused(actions: Floats, metadata: Metadata) -> None:
    """Sets to zero those last actions of episodes that are NaN: nothing was seen after them."""
    last = np.cumsum(metadata.lengths) - 1
    actions[last[np.isnan(actions[last]).all(axis=1)]] = 0


def _refuse_nonfinite(values: Floats, name: str, metadata: Metadata) -> None:
    usable = np.abs(values) < _LARGEST
    if (wrong := ~usable.all(axis=1)).any():
        row = int(wrong.argmax())
        ends = np.cumsum(metadata.lengths)
        episode = int(np.searchsorted(ends, row, side="right"))
        step = row - int(ends[episode] - metadata.lengths[episode])
        held = values[row][~usable[row]][0]
        raise UserError(
            f"Expected finite numbers in {metadata.data[episode]}, column '{name}', got "
            f"{'NaN or no value' if np.isnan(held) else f'{held:g}, too large to train on'} at "
            f"frame {step} of episode {metadata.episodes[episode]}. Mend the recording, or leave "
            "the episode out. (Only an episode's last action may be NaN.)"
        )
