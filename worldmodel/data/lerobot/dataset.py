"""Reading a LeRobotDataset v3.0 or v2.1, whoever wrote it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worldmodel.data.cameras import Wanted
from worldmodel.data.episode import Floats, Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset, content_key
from worldmodel.data.lerobot import layout
from worldmodel.data.lerobot.alignment import check_videos
from worldmodel.data.lerobot.columns import (
    read_table,
    real_numbers,
    require_columns,
    row_count,
    vectors,
    whole_numbers,
)
from worldmodel.data.lerobot.images import each_image
from worldmodel.data.lerobot.info import camera_keys, read_info
from worldmodel.data.lerobot.metadata import Metadata, check_width, read_metadata
from worldmodel.data.lerobot.version_2 import read_metadata_v2
from worldmodel.data.lerobot.video import each_frame
from worldmodel.data.oddities import missing_last_frames
from worldmodel.data.specification import read_dataset_spec
from worldmodel.errors import UserError
from worldmodel.files.checksums import checked_digest, read_checksums

__all__ = ["Dataset"]

_LARGEST = 1e18
"""Of an action or a state; float32 still holds its square."""


@dataclass(frozen=True, eq=False)
class Dataset(EpisodeDataset):
    """A LeRobotDataset; a camera is a feature, of videos or of images.

    The column ``timestamp`` says when a frame was taken; where it is missing, ``frame_index`` over
    the dataset's frame rate does. In the video, frames follow each other at that rate.

    Attributes:
        metadata: What ``meta/`` says.
        rows: Where each frame's row is in its parquet, int64 ``[F]``.
        allow_links_outside: Whether files may be links that lead out of the folder.
    """

    metadata: Metadata
    rows: Indices
    allow_links_outside: bool = False

    @classmethod
    def open(
        cls, root: Path | str, cameras: Wanted = None, *, allow_links_outside: bool = False
    ) -> Dataset:
        """Opens the dataset in the folder ``root``.

        All that its metadata says is checked against the rows and the times of the videos' frames.
        An episode's last action, which nothing follows, may be NaN and is then read as zero.
        Without ``observation.state`` states have no width.

        Args:
            root: The folder that contains ``meta/info.json``.
            cameras: Feature keys, names as in ``observation.images.<name>``, or one of them; may be
                left out when there is only one; () for all.
            allow_links_outside: Whether files may be symbolic links that lead out of the folder,
                as in the cache of Hugging Face.

        Raises:
            UserError: No dataset is there, it is incomplete or of another format version, names
                files outside of its folder, or contradicts itself; a camera or the actions are
                missing; a number is not finite or none; or timestamps run backwards.
        """
        root = Path(root)
        info = read_info(root, allow_links_outside)
        spec = read_dataset_spec(root)
        if layout.ACTION not in info.features:
            raise UserError(
                f"Expected a feature '{layout.ACTION}' in {root / layout.INFO_PATH}, got "
                f"{', '.join(info.features)}. Only datasets with actions can be used."
            )
        read = read_metadata_v2 if info.by_episode else read_metadata
        keys = camera_keys(root, info, cameras)
        metadata = read(root, info, keys, allow_links_outside=allow_links_outside)
        _check_row_count(metadata)
        lengths = metadata.lengths - metadata.unseen
        check_videos(replace(metadata, lengths=lengths))
        columns = [layout.ACTION, layout.STATE, layout.ENVIRONMENT_STATE]
        columns = [column for column in columns if column in info.features]
        timestamps, rows, vectors = _read_data(metadata, columns)
        _mask_unused(vectors[layout.ACTION], metadata)
        for name, values in vectors.items():
            _refuse_nonfinite(values, name, metadata)
        seen = np.ones(len(timestamps), bool)
        seen[(np.cumsum(metadata.lengths) - 1)[metadata.unseen]] = False
        nothing = np.zeros((len(timestamps), 0), np.float32)
        dataset = cls(
            root=root,
            cameras=tuple(_names(keys)),
            frame_sizes=metadata.frame_sizes,
            lengths=lengths,
            tasks=metadata.tasks,
            timestamps=timestamps[seen],
            actions=vectors[layout.ACTION][seen],
            states=vectors.get(layout.STATE, nothing)[seen],
            objects=None
            if layout.ENVIRONMENT_STATE not in vectors
            else vectors[layout.ENVIRONMENT_STATE][seen],
            extrinsics=None,
            action_names=metadata.names(layout.ACTION),
            state_names=metadata.names(layout.STATE),
            remarks=missing_last_frames(int(metadata.unseen.sum()), len(lengths)),
            timed=spec is None or spec.rate is not None,
            metadata=metadata,
            rows=rows[seen],
            allow_links_outside=allow_links_outside,
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

    def camera_frames(self, camera: str, episode: int, steps: Indices) -> Iterator[Frames]:
        """Decodes some frames of an episode; see `EpisodeDataset.camera_frames`."""
        place = self.cameras.index(camera)
        key, size = self.metadata.cameras[place], self.frame_sizes[place]
        if key not in self.metadata.videos:
            rows = self.rows[self.starts[episode] + steps]
            path = self.metadata.data[episode]
            yield from each_image(path, key, rows, size, self.root, self.allow_links_outside)
            return
        video = self.metadata.videos[key][episode]
        for frame in each_frame(video.path, video.start, steps, self.fps):
            if frame.shape[:2] != size:
                raise UserError(
                    f"Expected frames of {size} in {video.path}, as meta/info.json says, got "
                    f"{frame.shape[:2]}. Correct the feature's shape in meta/info.json."
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
        key = f"{', '.join(self.metadata.cameras)} {self.fps}"
        return content_key(key, root, self.metadata.files())


def _names(keys: Sequence[str]) -> Sequence[str]:
    """What cameras are called; by their keys, where names would be the same."""
    names = [layout.camera_name(key) for key in keys]
    return names if len(set(names)) == len(names) else keys


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
) -> tuple[npt.NDArray[np.float64], Indices, dict[str, Floats]]:
    """Timestamps ``[F]``, places in files ``[F]`` and vectors ``[F,width]``, episodes in order."""
    order, times, places = [], [], []
    parts: list[dict[str, Floats]] = []
    held = defaultdict[Path, list[int]](list)
    for number, path in enumerate(metadata.data):
        held[path].append(number)
    images = [key for key in metadata.cameras if key not in metadata.videos]
    for path in metadata.data_files:
        require_columns(path, images)
        table = read_table(path, [*columns, "episode_index", "frame_index"], [layout.TIMESTAMP])
        if not table.num_rows:
            continue
        episodes, steps = (whole_numbers(table, c, path) for c in ("episode_index", "frame_index"))
        _check_rows(metadata, path, held[path], episodes, steps)
        order.append(np.stack([steps, episodes]))
        places.append(np.arange(len(steps)))
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
        np.concatenate(places)[rows],
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
