"""What all readers of recorded episodes have in common, whatever the files look like."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worldmodel.data.episode import Floats, Frames, Indices
from worldmodel.errors import UserError, nearest
from worldmodel.files.checksums import checked_digest, read_checksums

__all__ = ["EpisodeDataset", "content_key"]

_DECODING_THREADS = 2
_PARTS_AHEAD = 8
_PART_BYTES = 32_000_000


@dataclass(frozen=True, eq=False)
class EpisodeDataset(ABC):
    """Episodes on disk: vectors are in memory, frames are decoded when asked for.

    F frames in all, E episodes, K cameras; rows of episode e are ``starts[e]`` to
    ``starts[e] + lengths[e]``. ``frames[t]`` and ``states[t]`` were seen, then ``actions[t]`` was
    executed.

    Frames are one array whatever the number of cameras: those of several stand side by side, in
    the order of ``cameras``. `fitted_dataset` makes them square, and so of one size.

    Attributes:
        root: The dataset's folder or file.
        cameras: The cameras' names, ``[K]``.
        frame_sizes: Height and width of each camera's frames, ``[K]``.
        lengths: Frames per episode, int64 ``[E]``.
        tasks: What each episode is about, ``[E]``.
        timestamps: float64 ``[F]``, s, ascending within an episode.
        actions: float32 ``[F,A]``; an episode's last, which nothing follows, is not used.
        states: float32 ``[F,P]``; P may be 0.
        objects: float32 ``[F,3n]``, privileged object positions in m for probes, or None.
        extrinsics: float32 ``[F,6]``, the first camera's pose seen from the robot's base, xyz (m)
            and extrinsic-xyz Euler angles (rad), or None.
        action_names: Names of an action's components, ``[A]``, where they are known.
        state_names: Names of a state's components, ``[P]``, where they are known.
        remarks: What the reader found odd and settled by rule, a clause each.
        timed: Whether somebody states how many frames there are a second; else timestamps are
            counted at a usual rate.

    Raises:
        UserError: Timestamps run backwards, repeat or are not finite.
    """

    root: Path
    cameras: tuple[str, ...]
    frame_sizes: tuple[tuple[int, int], ...]
    lengths: Indices
    tasks: Sequence[Sequence[str]]
    timestamps: npt.NDArray[np.float64]
    actions: Floats
    states: Floats
    objects: Floats | None
    extrinsics: Floats | None
    action_names: tuple[str, ...] | None = field(default=None, kw_only=True)
    state_names: tuple[str, ...] | None = field(default=None, kw_only=True)
    remarks: tuple[str, ...] = field(default=(), kw_only=True)
    timed: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        times, of = self.timestamps, np.repeat(np.arange(self.num_episodes), self.lengths)
        wrong = ~np.isfinite(times)
        wrong[1:] |= (np.diff(times) <= 0) & (of[1:] == of[:-1])
        if wrong.any():
            row = int(wrong.argmax())
            episode, step = of[row], row - self.starts[of[row]]
            before = f" after {times[row - 1]:g} s" if step else ""
            raise UserError(
                f"Expected timestamps that ascend in {self.timestamp_source(episode)}, episode "
                f"{episode}, got {times[row]:g} s{before} at frame {step}. Mend the episode or "
                "leave it out."
            )

    @abstractmethod
    def camera_frames(self, camera: str, episode: int, steps: Indices) -> Iterator[Frames]:
        """Decodes some frames of one camera one by one, so that no more than one is in memory.

        Args:
            camera: One of ``cameras``.
            episode: Which.
            steps: Its frames, ascending, counted from its first.

        Yields:
            uint8 ``[height,width,3]``, as ``frame_sizes`` says.

        Raises:
            UserError: A file is missing, corrupt or too short, or its frames have another size.
        """

    @abstractmethod
    def timestamp_source(self, episode: int) -> str:
        """File and key of an episode's timestamps, for errors."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A key over all that frames, actions and states are read from, whatever the folder."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of what `each_frame` yields.

        Raises:
            UserError: Cameras have frames of different heights.
        """
        heights = {height for height, _ in self.frame_sizes}
        if len(heights) > 1:
            sizes = zip(self.cameras, self.frame_sizes, strict=True)
            found = ", ".join(f"{name} {size[0]} x {size[1]}" for name, size in sizes)
            raise UserError(
                f"Expected cameras of one height in {self.root}, got {found}. Fit their frames to "
                "one size, or choose one camera."
            )
        return heights.pop(), sum(width for _, width in self.frame_sizes)

    @property
    def fps(self) -> float:
        """Frames a second, by the median of the times between frames."""
        times, within = np.diff(self.timestamps), np.ones(len(self.timestamps), bool)
        within[self.starts] = False
        steps = times[within[1:]]
        return float(1 / np.median(steps)) if len(steps) else 1.0

    @property
    def num_episodes(self) -> int:
        """How many episodes there are."""
        return len(self.lengths)

    @property
    def num_frames(self) -> int:
        """How many frames all episodes have together."""
        return len(self.actions)

    @property
    def starts(self) -> Indices:
        """Row of each episode's first frame, int64 ``[E]``."""
        return np.cumsum(self.lengths) - self.lengths

    def about(self, tasks: Sequence[str]) -> Indices:
        """The episodes about any of these tasks; of no tasks, all.

        Raises:
            UserError: No episode is about one of them.
        """
        known = {task for names in self.tasks for task in names}
        for task in tasks:
            if task not in known:
                raise UserError(
                    f"no episode of {self.root} is about '{task}'; {nearest(task, sorted(known))}"
                )
        chosen = [not tasks or not set(tasks).isdisjoint(names) for names in self.tasks]
        return np.flatnonzero(chosen)

    def each_frame(self, episode: int, steps: Indices) -> Iterator[Frames]:
        """Decodes some frames of an episode, those of several cameras side by side.

        Arguments and errors are those of `camera_frames`.

        Yields:
            uint8 ``[*image_size,3]``.
        """
        if len(self.cameras) == 1:
            return self.camera_frames(self.cameras[0], episode, steps)
        _ = self.image_size  # or there is no one array of them
        views = [self.camera_frames(camera, episode, steps) for camera in self.cameras]
        return (np.concatenate(frames, axis=1) for frames in zip(*views, strict=True))

    def frames_at(self, episode: int, steps: Indices) -> Frames:
        """Decodes some frames of an episode: uint8 ``[len(steps),height,width,3]``.

        Arguments and errors are those of `each_frame`.
        """
        frames = np.empty((len(steps), *self.image_size, 3), np.uint8)
        for place, frame in enumerate(self.each_frame(episode, steps)):
            frames[place] = frame
        return frames

    def frames(self, episode: int) -> Frames:
        """Decodes one episode: uint8 ``[T,height,width,3]``; errors as `each_frame`."""
        return self.frames_at(episode, np.arange(self.lengths[episode]))

    def iter_parts(self, row: int = 0) -> Iterator[Frames]:
        """Decodes all rows from ``row`` on, in order, some of one episode at a time.

        A part is at most 32 MB large, and at most eight of them are decoded ahead of the one in
        use, however long episodes are.
        """
        most = max(_PART_BYTES // (3 * int(np.prod(self.image_size))), 1)
        with ThreadPoolExecutor(_DECODING_THREADS) as threads:
            ahead: deque[Future[Frames]] = deque()
            try:
                for episode, steps in self._parts(row, most):
                    ahead.append(threads.submit(self.frames_at, episode, steps))
                    if len(ahead) > _PARTS_AHEAD:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for part in ahead:
                    part.cancel()

    def _parts(self, row: int, most: int) -> Iterator[tuple[int, Indices]]:
        """Episodes and steps of the rows from ``row`` on, at most so many steps at a time."""
        for episode, start in enumerate(self.starts):
            for first in range(max(row - int(start), 0), int(self.lengths[episode]), most):
                yield episode, np.arange(first, min(first + most, int(self.lengths[episode])))

    def require(
        self,
        *,
        action_width: int | None = None,
        state_width: int | None = None,
        image_size: tuple[int, int] | None = None,
        extrinsics: bool = False,
    ) -> None:
        """Raises UserError unless the dataset has what is asked for.

        Args:
            action_width: A; None for any, as below.
            state_width: P.
            image_size: Height and width of a frame.
            extrinsics: The camera's poses.
        """
        if extrinsics and self.extrinsics is None:
            raise UserError(
                f"Expected the camera's poses for extrinsics=true, got none in {self.root}. Raw "
                "episodes of DROID have them; leave the setting out for other data."
            )
        expected = {"actions": action_width, "states": state_width, "frames": image_size}
        found = {
            "actions": self.actions.shape[1],
            "states": self.states.shape[1],
            "frames": None if image_size is None else self.image_size,
        }
        for name, size in expected.items():
            if size is not None and found[name] != size:
                raise UserError(
                    f"Expected {name} of size {size}, as the checkpoint was trained on, got "
                    f"{found[name]} in {self.root}. Use a dataset of the same robot and camera, or "
                    "train a checkpoint on this one."
                )


def content_key(settings: str, root: Path, files: Iterable[Path]) -> str:
    """A key over the files' contents, their names below ``root``, and ``settings``.

    Raises:
        UserError: A file is not as it was collected.
    """
    key, recorded = hashlib.sha256(settings.encode()), read_checksums(root)
    for path in files:
        digest = checked_digest(path, root, recorded)
        key.update(f"{path.relative_to(root)} {digest}".encode())
    return key.hexdigest()
