"""Reading DROID as it is distributed in raw form (Khazatsky et al. 2024, arXiv:2403.12945).

An episode is a folder, anywhere below the dataset's::

    trajectory.h5
    metadata_<uuid>.json
    recordings/MP4/<serial>.mp4

Of the metadata, ``ext1_cam_serial``, ``ext2_cam_serial`` and ``wrist_cam_serial`` name the cameras,
``left_mp4_path`` and ``right_mp4_path`` the external ones by where they stand (V-JEPA 2-AC was
trained on the left one), and ``current_task`` the task. Of the trajectory's T rows are read::

    observation/robot_state/cartesian_position     [T,6]  m, extrinsic-xyz Euler angles
    observation/robot_state/gripper_position       [T]    closedness, 0 to 1
    observation/camera_extrinsics/<serial>_left    [T,6]  m, extrinsic-xyz Euler angles
    observation/timestamp/cameras/<serial>_estimated_capture      [T], ms; else the next
    observation/timestamp/cameras/<serial>_frame_received         [T], ms; else the next
    observation/timestamp/control/step_start                      [T], ms

Frame i of the video is row i; at what rate the video plays means nothing. Many videos of DROID lack
the last row's frame (github.com/droid-dataset/droid/issues/54): that row is left out. DROID's
``action`` holds velocities without a unit, so actions are the change of the pose from row to row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from worldmodel.data.cameras import Wanted
from worldmodel.data.episode import Floats, Frames, Indices
from worldmodel.data.episode_dataset import EpisodeDataset, content_key
from worldmodel.data.hdf5 import numbers_at, opened, values
from worldmodel.data.lerobot.video import each_numbered_frame, video_shape
from worldmodel.data.oddities import missing_last_frames
from worldmodel.data.sampling import pose_actions
from worldmodel.errors import UserError, nearest
from worldmodel.files.json_file import read_json
from worldmodel.files.paths import inside
from worldmodel.spec import POSE_ACTIONS, POSE_STATES

__all__ = ["DroidDataset", "holds_droid"]

_TRAJECTORY = "trajectory.h5"
_CAMERAS = ("ext1", "ext2", "wrist")
_POSE = "observation/robot_state/cartesian_position"
_GRIPPER = "observation/robot_state/gripper_position"
_EXTRINSICS = "observation/camera_extrinsics/{serial}_left"
_CLOCKS = (
    "observation/timestamp/cameras/{serial}_estimated_capture",
    "observation/timestamp/cameras/{serial}_frame_received",
    "observation/timestamp/control/step_start",
)


@dataclass(frozen=True, eq=False)
class _Episode:
    """What is read of a folder; T rows that have a frame."""

    metadata: Path
    trajectory: Path
    videos: tuple[Path, ...]
    clock: str
    frame_sizes: tuple[tuple[int, int], ...]
    complete: bool
    task: str | None
    timestamps: npt.NDArray[np.float64]
    states: Floats
    extrinsics: Floats

    @property
    def files(self) -> tuple[Path, ...]:
        return self.metadata, self.trajectory, *self.videos


@dataclass(frozen=True, eq=False)
class DroidDataset(EpisodeDataset):
    """Episodes of DROID by some of their cameras; states and actions as V-JEPA 2-AC has them.

    Attributes:
        episodes: What was read of each, in the order of their folders' names.
    """

    episodes: Sequence[_Episode]

    @classmethod
    def open(
        cls, root: Path | str, cameras: Wanted = None, *, allow_links_outside: bool = False
    ) -> DroidDataset:
        """Opens all episodes below the folder ``root``.

        Args:
            root: A folder with `trajectory.h5` anywhere below it.
            cameras: Of ``ext1``, ``ext2``, ``wrist``, ``left``, ``right`` and serial numbers; ()
                for the first three.
            allow_links_outside: Whether files may be symbolic links that lead out of the folder.

        Raises:
            UserError: There is no episode; a file or key is missing, damaged, of another shape or
                outside of the folder;
                an episode has no such camera; a video does not fit its trajectory; frames differ in
                size; or timestamps run backwards.
            MissingExtraError: h5py is not installed; the extra ``hdf5`` has it.
        """
        folders = sorted(path.parent for path in Path(root).rglob(_TRAJECTORY))
        if not folders:
            raise UserError(f"Expected episodes of DROID ({_TRAJECTORY}) below {root}, got none.")
        names = _names(cameras)
        episodes = [_read_episode(Path(root), f, names, allow_links_outside) for f in folders]
        first = episodes[0]
        for episode in episodes:
            if episode.frame_sizes != first.frame_sizes:
                differ = [
                    a != b for a, b in zip(episode.frame_sizes, first.frame_sizes, strict=True)
                ]
                place = differ.index(True)
                raise UserError(
                    f"Expected frames of {first.frame_sizes[place]} in {episode.videos[place]}, as "
                    f"in {first.videos[place]}, got {episode.frame_sizes[place]}. Keep sizes in "
                    "separate folders."
                )
        lengths = np.array([len(episode.states) for episode in episodes], dtype=np.int64)
        states = np.concatenate([episode.states for episode in episodes])
        unseen = sum(not episode.complete for episode in episodes)
        return cls(
            root=Path(root),
            cameras=names,
            frame_sizes=first.frame_sizes,
            lengths=lengths,
            tasks=[() if e.task is None else (e.task,) for e in episodes],
            timestamps=np.concatenate([episode.timestamps for episode in episodes]),
            actions=pose_actions(states, lengths),
            states=states,
            objects=None,
            extrinsics=np.concatenate([episode.extrinsics for episode in episodes]),
            action_names=POSE_ACTIONS,
            state_names=POSE_STATES,
            remarks=missing_last_frames(unseen, len(episodes)),
            episodes=episodes,
        )

    def camera_frames(self, camera: str, episode: int, steps: Indices) -> Iterator[Frames]:
        """Decodes some frames of an episode; see `EpisodeDataset.camera_frames`."""
        place = self.cameras.index(camera)
        video, size = self.episodes[episode].videos[place], self.frame_sizes[place]
        for frame in each_numbered_frame(video, steps):
            if frame.shape[:2] != size:
                raise UserError(
                    f"Expected frames of {size} in {video}, as its header says, got "
                    f"{frame.shape[:2]}. Copy it again, or leave out the episode."
                )
            yield frame

    def timestamp_source(self, episode: int) -> str:
        """File and key of an episode's timestamps, for errors."""
        chosen = self.episodes[episode]
        return f"{chosen.trajectory}['{chosen.clock}']"

    def fingerprint(self) -> str:
        """A key over all that frames, actions and states are read from, whatever the folder."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        files = [path for episode in self.episodes for path in episode.files]
        return content_key(f"droid {', '.join(self.cameras)}", self.root, files)


def holds_droid(root: Path | str) -> bool:
    """Whether an episode of DROID lies anywhere below a folder."""
    return next(Path(root).rglob(_TRAJECTORY), None) is not None


def _names(cameras: Wanted) -> tuple[str, ...]:
    """The names that are asked for."""
    if cameras is None:
        raise UserError(
            f"Expected cameras=[…], some of {', '.join(_CAMERAS)}, left and right, got none. Name "
            "one, as in cameras=[left]."
        )
    names = (cameras,) if isinstance(cameras, str) else tuple(cameras) or _CAMERAS
    if len(set(names)) < len(names):
        raise UserError(f"Expected each camera once, got {', '.join(names)}.")
    return names


def _read_episode(
    root: Path, folder: Path, cameras: Sequence[str], allow_links_outside: bool
) -> _Episode:
    def file_at(path: Path, source: Path) -> Path:
        return inside(root, path.relative_to(root), str(source), allow_links_outside)

    metadata = file_at(_metadata_path(folder), folder)
    described = _read_metadata(metadata)
    serials = [_serial(metadata, described, camera) for camera in cameras]
    path = file_at(folder / _TRAJECTORY, folder)
    videos = [file_at(folder / "recordings/MP4" / f"{name}.mp4", metadata) for name in serials]
    shapes = [video_shape(video) for video in videos]
    with opened(path) as file:
        pose = numbers_at(file, _POSE, (None, 6))
        rows = len(pose)
        gripper = numbers_at(file, _GRIPPER, (rows,))
        extrinsics = numbers_at(file, _EXTRINSICS.format(serial=serials[0]), (rows, 6))
        clocks = [clock.format(serial=serials[0]) for clock in _CLOCKS]
        clock = next((clock for clock in clocks if clock in file), clocks[0])
        milliseconds = numbers_at(file, clock, (rows,))
        # Before anything is read, since a damaged header may tell of any number of rows.
        for video, (frames, *_) in zip(videos, shapes, strict=True):
            if frames not in (rows, rows - 1):
                raise UserError(
                    f"Expected {rows} frames in {video}, one for each row of {path}['{_POSE}'] but "
                    f"perhaps the last, got {frames}. Copy it again, or leave out the episode."
                )
        states = np.concatenate([values(pose), values(gripper)[:, None]], axis=1)
        camera_poses, times = values(extrinsics), values(milliseconds)
    seen = min(shape[0] for shape in shapes)
    return _Episode(
        metadata=metadata,
        trajectory=path,
        videos=tuple(videos),
        clock=clock,
        frame_sizes=tuple((height, width) for _, height, width in shapes),
        complete=seen == rows,
        task=task if isinstance(task := described.get("current_task"), str) else None,
        timestamps=(times[:seen] - times[0]) / 1000,
        states=states[:seen].astype(np.float32),
        extrinsics=camera_poses[:seen].astype(np.float32),
    )


def _metadata_path(folder: Path) -> Path:
    found = sorted(folder.glob("metadata_*.json"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UserError(
            f"Expected one metadata_*.json in {folder}, as complete episodes of DROID have, got "
            f"{names}. Copy the episode again, or leave it out."
        )
    return found[0]


def _read_metadata(path: Path) -> Mapping[str, Any]:
    return read_json(path, "Copy it again.")


def _serial(path: Path, described: Mapping[str, Any], camera: str) -> str:
    """The serial number of a camera."""
    serials = {
        name: str(serial)
        for name in _CAMERAS
        if isinstance(serial := described.get(f"{name}_cam_serial"), str | int) and serial
    }
    if not serials:
        raise UserError(f"Expected 'ext1_cam_serial' and others in {path}, got none of them.")
    names = {serial: serial for serial in serials.values()} | serials
    names |= {
        side: PurePosixPath(video).stem
        for side in ("left", "right")
        if isinstance(video := described.get(f"{side}_mp4_path"), str)
    }
    if paths := [name for name in names.values() if PurePosixPath(name).name != name]:
        raise UserError(f"Expected serial numbers of cameras in {path}, got {paths[0]!r}.")
    if camera not in names:
        raise UserError(f"no camera '{camera}' in {path}; {nearest(camera, names)}")
    return names[camera]
