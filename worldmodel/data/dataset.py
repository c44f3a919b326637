"""Reading a LeRobotDataset v3.0 with one camera, actions and states, whoever wrote it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from worldmodel.data import layout
from worldmodel.data.episode import Floats, Frames, Indices
from worldmodel.data.metadata import Metadata, read_metadata, read_table
from worldmodel.data.video import read_frames
from worldmodel.errors import UserError, nearest

__all__ = ["Dataset"]

_DECODING_THREADS = 2


@dataclass(frozen=True, eq=False)
class Dataset:
    """Episodes on disk: actions and states are in memory, frames are decoded when asked for.

    F frames in all, E episodes; those of episode e are rows ``starts[e]`` to
    ``starts[e] + lengths[e]``.

    Attributes:
        metadata: What ``meta/`` says.
        actions: float32 ``[F,A]``.
        states: float32 ``[F,P]``.
        objects: float32 ``[F,3n]``, privileged object positions in m for probes, or None.
    """

    metadata: Metadata
    actions: Floats
    states: Floats
    objects: Floats | None

    @classmethod
    def open(cls, root: Path | str, camera: str | None = None) -> Dataset:
        """Opens the dataset in the folder ``root``.

        Args:
            root: The folder that contains ``meta/info.json``.
            camera: A camera's feature key or its last part; may be left out when there is only one.

        Raises:
            UserError: No dataset is there, it is incomplete or of another format version, or the
                camera, the actions or the states are missing.
        """
        metadata = read_metadata(Path(root), camera)
        columns = [layout.ACTION, layout.STATE]
        columns += [c for c in [layout.ENVIRONMENT_STATE] if c in metadata.features]
        table = _read_data(metadata, [*columns, "episode_index", "frame_index"])
        vectors = {name: _matrix(table[name]) for name in columns}
        return cls(
            metadata,
            vectors[layout.ACTION],
            vectors[layout.STATE],
            vectors.get(layout.ENVIRONMENT_STATE),
        )

    @property
    def root(self) -> Path:
        """The dataset's folder."""
        return self.metadata.root

    @property
    def fps(self) -> float:
        """Frames, and control steps, a second."""
        return self.metadata.fps

    @property
    def camera(self) -> str:
        """Feature key of the camera."""
        return self.metadata.camera

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return self.metadata.image_size

    @property
    def num_episodes(self) -> int:
        """How many episodes there are."""
        return len(self.lengths)

    @property
    def num_frames(self) -> int:
        """How many frames all episodes have together."""
        return len(self.actions)

    @property
    def lengths(self) -> Indices:
        """Frames per episode, int64 ``[E]``."""
        return self.metadata.lengths

    @property
    def starts(self) -> Indices:
        """Row of each episode's first frame, int64 ``[E]``."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def seeds(self) -> Indices | None:
        """Seed of each episode, int64 ``[E]``, where they were recorded."""
        return self.metadata.seeds

    def about(self, tasks: Sequence[str]) -> Indices:
        """The episodes about any of these tasks; of no tasks, all.

        Raises:
            UserError: No episode is about one of them.
        """
        known = {task for names in self.metadata.tasks for task in names}
        for task in tasks:
            if task not in known:
                raise UserError(
                    f"no episode of {self.root} is about '{task}'; {nearest(task, sorted(known))}"
                )
        chosen = [not tasks or not set(tasks).isdisjoint(names) for names in self.metadata.tasks]
        return np.flatnonzero(chosen)

    @property
    def action_names(self) -> tuple[str, ...] | None:
        """Names of the action's components, where they were recorded."""
        return self.metadata.names(layout.ACTION)

    @property
    def state_names(self) -> tuple[str, ...] | None:
        """Names of the state's components, where they were recorded."""
        return self.metadata.names(layout.STATE)

    def frames(self, episode: int) -> Frames:
        """Decodes one episode: uint8 ``[T,height,width,3]``."""
        video = self.metadata.videos[episode]
        frames = read_frames(video.path, video.start, int(self.lengths[episode]), self.fps)
        if frames.shape[1:3] != self.image_size:
            raise UserError(
                f"Expected frames of {self.image_size} in {video.path}, as meta/info.json says, "
                f"got {frames.shape[1:3]}. Correct the feature's shape in meta/info.json."
            )
        return frames

    def iter_frames(self, first: int = 0) -> Iterator[Frames]:
        """Decodes all episodes from ``first`` on, in order, a few ahead of the one in use."""
        with ThreadPoolExecutor(_DECODING_THREADS) as threads:
            ahead: deque[Future[Frames]] = deque()
            for episode in range(first, self.num_episodes):
                ahead.append(threads.submit(self.frames, episode))
                if len(ahead) > 2 * _DECODING_THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def fingerprint(self) -> str:
        """A key over all that frames, actions and states are read from, whatever the folder."""
        return self._fingerprint

    def require(
        self,
        *,
        action_width: int | None = None,
        state_width: int | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        """Raises UserError unless the dataset has these widths and this frame size (None: any)."""
        expected = {"actions": action_width, "states": state_width, "frames": image_size}
        found = {
            "actions": self.actions.shape[1],
            "states": self.states.shape[1],
            "frames": self.image_size,
        }
        for name, size in expected.items():
            if size is not None and found[name] != size:
                raise UserError(
                    f"Expected {name} of size {size}, as the checkpoint was trained on, got "
                    f"{found[name]} in {self.root}. Use a dataset of the same robot and camera, or "
                    "train a checkpoint on this one."
                )

    @cached_property
    def _fingerprint(self) -> str:
        key = hashlib.sha256(f"{self.camera} {self.fps}".encode())
        for path in self.metadata.files():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            key.update(f"{path.relative_to(self.root)} {digest}".encode())
        return key.hexdigest()


def _read_data(metadata: Metadata, columns: list[str]) -> pa.Table:
    """The rows of all episodes in order."""
    table = pa.concat_tables([read_table(path, columns) for path in metadata.data_files])
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
