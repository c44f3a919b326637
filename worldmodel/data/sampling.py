"""Episodes at another frame rate, by timestamps, with what was done between their frames.

Clips of V-JEPA 2-AC show four frames a second (arXiv:2506.09985, §3.1). Cameras do not keep to
their nominal rate, so frames are chosen by when they were taken and never by counting: per episode,
those nearest to 0, 1/fps, 2/fps … seconds after its first frame, up to its last. Nothing is
interpolated. A frame never stands for two of these points; a recording too slow for that is an
error.

What was done between two frames is the change of the pose, or follows from the recorded actions by
their kind: ``delta`` adds up, of ``absolute`` the last target counts, ``velocity`` and ``torque``
are averaged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from worldmodel.data.episode import Floats, Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.specification import data_spec
from worldmodel.errors import UserError, nearest
from worldmodel.nn.pose import difference
from worldmodel.nn.standardisation import POSE_WIDTH
from worldmodel.spec import POSE_ACTIONS, POSE_STATES, SpecChanges

__all__ = [
    "ACTIONS",
    "SampledDataset",
    "joined_actions",
    "nearest_frames",
    "pose_actions",
    "sampled",
]

ACTIONS = ("recorded", "poses")
"""Where actions come from: the dataset's own, or the change of the pose from frame to frame."""

_SAME_TIME = 1e-4
"""s by which times that were written as equal may differ, as in LeRobot."""


_JOINED = ("delta", "absolute", "velocity", "torque")
"""Kinds of which several actions, one after another, are one."""


def sampled(
    dataset: EpisodeDataset, fps: float | None, actions: str, changes: SpecChanges | None = None
) -> EpisodeDataset:
    """The dataset at ``fps`` frames a second, with the actions that are asked for.

    Args:
        dataset: As it was recorded.
        fps: Frames a second; None for all that were recorded.
        actions: One of `ACTIONS`.
        changes: What the user states, such as kinds that the dataset does not say.

    Raises:
        UserError: Another name of actions, recorded ones of a kind that does not tell what several
            of them do, a rate that is not positive or higher than the recording's, or states that
            are no poses.
    """
    if actions not in ACTIONS:
        raise UserError(f"unknown actions '{actions}'; {nearest(actions, ACTIONS)}")
    if fps is not None and not 0 < fps < float("inf"):
        raise UserError(f"Expected fps above 0, got {fps:g}.")
    if actions == "recorded":
        if fps is None:
            return dataset
        spec = data_spec(dataset, changes)
        kind = spec.actions.kind
        if spec.chunked:
            raise UserError(
                f"Expected no fps=… with actions that are chunks, as in {dataset.root}, got "
                f"fps={fps:g}. Leave it out, or collect with another repeat=…"
            )
        if kind == "pose_delta":
            raise UserError(
                f"Expected actions=poses with fps={fps:g}, got actions=recorded, which are changes "
                "of the pose in single steps. Leave out fps=… to keep them."
            )
        if kind not in _JOINED:
            raise UserError(
                f"Expected actions of kind {', '.join(_JOINED)} with fps={fps:g}, got {kind} in "
                f"{dataset.root}. State spec.action_kind=…, or leave out fps=…"
            )
        return SampledDataset.of(dataset, fps, kind)
    if (width := dataset.states.shape[1]) != POSE_WIDTH:
        raise UserError(
            f"Expected states of width {POSE_WIDTH} (xyz, Euler angles, closedness) for "
            f"actions=poses, got {width} in {dataset.root}. Use actions=recorded without fps=…"
        )
    if data_spec(dataset, changes).states.kind != "pose":
        named = ", ".join(dataset.state_names or ()) or "numbers without names"
        raise UserError(
            f"Expected poses for actions=poses, got {named} in {dataset.root}. If they are xyz "
            "(m), Euler angles (rad) and closedness, say so with spec.state_kind=pose"
        )
    return SampledDataset.of(dataset, fps)


@dataclass(frozen=True, eq=False)
class SampledDataset(EpisodeDataset):
    """Some frames of another dataset, and what was done from each to the next as actions.

    Attributes:
        source: The dataset.
        rate: Frames a second that were asked for; None for all.
        steps: Chosen frames of each episode, counted from its first, ``[E]`` of int64 ``[T]``.
    """

    source: EpisodeDataset
    rate: float | None
    steps: Sequence[Indices]

    @classmethod
    def of(
        cls, source: EpisodeDataset, fps: float | None, kind: str = "pose_delta"
    ) -> SampledDataset:
        """Chooses frames of a dataset.

        Args:
            source: The dataset.
            fps: Frames a second; None for all.
            kind: Of its recorded actions; ``pose_delta`` to read them off its states instead, which
                are poses.

        Raises:
            UserError: An episode was recorded at less than ``fps``.
        """
        if fps is None:
            steps = [np.arange(length) for length in source.lengths]
        else:
            times = [_times(source, episode) for episode in range(source.num_episodes)]
            # A gap of two points leaves one of them without a frame; a clock that jumps by years
            # must not be cut into points first.
            paused = [e for e, t in enumerate(times) if np.diff(t).max(initial=0) * fps > 2]
            if paused:
                raise _too_slow(source, fps, paused)
            steps = [nearest_frames(seconds, fps) for seconds in times]
            if slow := [e for e, chosen in enumerate(steps) if not np.diff(chosen).all()]:
                raise _too_slow(source, fps, slow)
        lengths = np.array([len(chosen) for chosen in steps], dtype=np.int64)
        rows = np.concatenate([s + chosen for s, chosen in zip(source.starts, steps, strict=True)])
        states, poses = source.states[rows], kind == "pose_delta"
        return cls(
            root=source.root,
            cameras=source.cameras,
            frame_sizes=source.frame_sizes,
            lengths=lengths,
            tasks=source.tasks,
            timestamps=source.timestamps[rows],
            actions=pose_actions(states, lengths)
            if poses
            else joined_actions(source.actions, rows, kind),
            states=states,
            objects=None if source.objects is None else source.objects[rows],
            extrinsics=None if source.extrinsics is None else source.extrinsics[rows],
            action_names=POSE_ACTIONS if poses else source.action_names,
            state_names=POSE_STATES if poses else source.state_names,
            remarks=source.remarks,
            timed=source.timed or fps is not None,
            source=source,
            rate=fps,
            steps=steps,
        )

    def camera_frames(self, camera: str, episode: int, steps: Indices) -> Iterator[Frames]:
        """Decodes some of the chosen frames; see `EpisodeDataset.camera_frames`."""
        return self.source.camera_frames(camera, episode, self.steps[episode][steps])

    def timestamp_source(self, episode: int) -> str:
        """File and key of an episode's timestamps, for errors."""
        return self.source.timestamp_source(episode)

    def fingerprint(self) -> str:
        """The source's key, and the frame rate if frames were left out."""
        key = self.source.fingerprint()
        if self.rate is None:
            return key
        return hashlib.sha256(f"{key} nearest to {self.rate} a second".encode()).hexdigest()


def nearest_frames(timestamps: npt.NDArray[np.float64], fps: float) -> Indices:
    """Frames nearest to 0, 1/fps, 2/fps … seconds after the first, up to the last.

    Of two that are equally near, the earlier one. Frames repeat where there are too few.

    Args:
        timestamps: s, ascending, ``[T]``.
        fps: Points a second.

    Returns:
        Indices into ``timestamps``, ascending.
    """
    times = timestamps - timestamps[0]
    points = np.arange(int((times[-1] + _SAME_TIME) * fps) + 1) / fps
    after = np.searchsorted(times, points).clip(max=len(times) - 1)
    before = (after - 1).clip(min=0)
    earlier = np.abs(points - times[before]) <= np.abs(times[after] - points) + _SAME_TIME
    return np.where(earlier, before, after)


def pose_actions(states: Floats, lengths: Indices) -> Floats:
    """The action ``[F,7]`` from each pose ``[F,7]`` to the next of its episode.

    Rotations are composed, gripper closedness subtracted, as V-JEPA 2-AC does. The last action of
    an episode, after which nothing was seen, is zero.
    """
    poses = torch.from_numpy(states).double()
    actions = np.zeros_like(states)
    actions[:-1] = difference(poses[:-1], poses[1:]).numpy()
    actions[np.cumsum(lengths) - 1] = 0
    return actions


def joined_actions(actions: Floats, rows: Indices, kind: str) -> Floats:
    """What actions ``[F,A]`` do together from each chosen row to the next, ``[len(rows),A]``.

    >>> moves = np.float32([[1], [2], [3], [4]])
    >>> joined_actions(moves, np.array([0, 2]), "delta").tolist()
    [[3.0], [7.0]]

    Args:
        actions: Recorded ones, of a step each.
        rows: Ascending, the first row of every episode among them.
        kind: ``delta``, ``absolute``, ``velocity`` or ``torque``.
    """
    ends = np.append(rows[1:], len(actions))
    if kind == "absolute":
        return actions[ends - 1]
    total = np.add.reduceat(actions, rows, axis=0, dtype=np.float64)
    steps = 1 if kind == "delta" else (ends - rows)[:, None]
    return (total / steps).astype(np.float32)


def _times(source: EpisodeDataset, episode: int) -> npt.NDArray[np.float64]:
    first = source.starts[episode]
    return source.timestamps[first : first + source.lengths[episode]]


def _too_slow(source: EpisodeDataset, fps: float, slow: Sequence[int]) -> UserError:
    gaps = np.diff(_times(source, slow[0]))
    more = f" (so are {len(slow) - 1} more episodes)" if len(slow) > 1 else ""
    return UserError(
        f"Expected at least {fps:g} frames a second in {source.timestamp_source(slow[0])}, episode "
        f"{slow[0]}, got {1 / np.median(gaps):.3g} on the whole and none for {gaps.max():.2f} s: "
        f"too slow{more}. Lower fps=…, or leave out such episodes."
    )
