"""Reading a LeRobotDataset v3.0 with one camera, actions and states, whoever wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worldmodel.data import layout
from worldmodel.data.episode import Floats, Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset, content_key
from worldmodel.data.metadata import Metadata, read_metadata, read_table
from worldmodel.data.video import read_frames
from worldmodel.errors import UserError

__all__ = ["Dataset"]


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
    def open(cls, root: Path | str, camera: str | None = None) -> Dataset:
        """Opens the dataset in the folder ``root``.

        Args:
            root: The folder that contains ``meta/info.json``.
            camera: A camera's feature key or its last part; may be left out when there is only one.

        Raises:
            UserError: No dataset is there, it is incomplete or of another format version, the
                camera, the actions or the states are missing, or timestamps run backwards.
        """
        metadata = read_metadata(Path(root), camera)
        columns = [layout.ACTION, layout.STATE]
        columns += [c for c in [layout.ENVIRONMENT_STATE] if c in metadata.features]
        table = _read_data(metadata, [*columns, "episode_index", "frame_index"])
        vectors = {name: _matrix(table[name]) for name in columns}
        return cls(
            root=metadata.root,
            camera=metadata.camera,
            image_size=metadata.image_size,
            lengths=metadata.lengths,
            tasks=metadata.tasks,
            timestamps=_timestamps(table, metadata.fps),
            actions=vectors[layout.ACTION],
            states=vectors[layout.STATE],
            objects=vectors.get(layout.ENVIRONMENT_STATE),
            extrinsics=None,
            metadata=metadata,
        )

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

    def frames_at(self, episode: int, steps: Indices) -> Frames:
        """Decodes some frames of an episode; see `EpisodeDataset.frames_at`."""
        video = self.metadata.videos[episode]
        frames = read_frames(video.path, video.start, steps, self.fps)
        if frames.shape[1:3] != self.image_size:
            raise UserError(
                f"Expected frames of {self.image_size} in {video.path}, as meta/info.json says, "
                f"got {frames.shape[1:3]}. Correct the feature's shape in meta/info.json."
            )
        return frames

    def timestamp_source(self, episode: int) -> str:
        """File and key of an episode's timestamps, for errors."""
        return f"{self.metadata.data[episode]}['{layout.TIMESTAMP}']"

    def fingerprint(self) -> str:
        """A key over all that frames, actions and states are read from, whatever the folder."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return content_key(f"{self.camera} {self.fps}", self.root, self.metadata.files())


def _read_data(metadata: Metadata, columns: list[str]) -> pa.Table:
    """The rows of all episodes in order."""
    parts = [read_table(path, columns, [layout.TIMESTAMP]) for path in metadata.data_files]
    table = pa.concat_tables(parts, promote_options="permissive")
    expected = np.repeat(metadata.episodes, metadata.lengths)
    if not np.array_equal(table["episode_index"].to_numpy(), expected):
        table = table.sort_by([("episode_index", "ascending"), ("frame_index", "ascending")])
    if not np.array_equal(table["episode_index"].to_numpy(), expected):
        raise UserError(
            f"Expected {len(expected)} frames in {metadata.root}/data, as meta/episodes says, "
            f"got {table.num_rows} rows that do not match. Copy the dataset again."
        )
    return table


def _matrix(column: pa.ChunkedArray) -> Floats:
    """A column of vectors, or of plain numbers, as float32 ``[F,width]``."""
    nested = pa.types.is_nested(column.type)
    values = [(c.flatten() if nested else c).to_numpy() for c in column.chunks]
    return np.concatenate(values).astype(np.float32, copy=False).reshape(len(column), -1)


def _timestamps(table: pa.Table, fps: float) -> npt.NDArray[np.float64]:
    """Seconds ``[F]``: as recorded, else as the frame rate has it."""
    regular = table["frame_index"].to_numpy() / fps
    if layout.TIMESTAMP not in table.column_names:
        return regular
    recorded = table[layout.TIMESTAMP]
    given = np.asarray(recorded.is_valid())
    return np.where(given, recorded.to_numpy().astype(np.float64), regular)
