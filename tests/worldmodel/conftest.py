"""What tests of several packages share: tiny episodes in DROID's raw layout, and a full disk."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from worldmodel.data.video import writing_video

SERIALS = {"ext1": "11111111", "ext2": "22222222", "wrist": "33333333"}
DroidWriter = Callable[..., Path]


@pytest.fixture(scope="session")
def write_droid() -> DroidWriter:
    """Writes an episode of ``rows`` rows whose frame i is of grey level 8 i, at 15 a second."""

    def write(
        folder: Path, rows: int = 30, frames: int | None = None, size: tuple[int, int] = (36, 64)
    ) -> Path:
        rng = np.random.default_rng(rows)
        videos = folder / "recordings/MP4"
        videos.mkdir(parents=True)
        levels = 8 * np.arange(rows if frames is None else frames, dtype=np.uint8)
        pixels = np.broadcast_to(levels[:, None, None, None], (len(levels), *size, 3))
        described = {
            "current_task": "push",
            "left_mp4_path": "success/x/recordings/MP4/22222222.mp4",
        }
        with h5py.File(folder / "trajectory.h5", "w") as file:
            walk = np.cumsum(rng.normal(0, 0.02, (rows, 6)), axis=0)
            file["observation/robot_state/cartesian_position"] = walk
            file["observation/robot_state/gripper_position"] = rng.uniform(0, 1, rows)
            milliseconds = 1_690_000_000_000 + (np.arange(rows) * 1000) // 15
            file["observation/timestamp/control/step_start"] = milliseconds
            for number, (name, serial) in enumerate(SERIALS.items()):
                described[f"{name}_cam_serial"] = serial
                poses = np.full((rows, 6), number, float)
                poses[:, 0] = np.arange(rows)
                file[f"observation/camera_extrinsics/{serial}_left"] = poses
                clock = f"observation/timestamp/cameras/{serial}"
                file[f"{clock}_estimated_capture"] = milliseconds
                file[f"{clock}_frame_received"] = milliseconds + 20
                # DROID's videos play at another rate than they were taken.
                with writing_video(videos / f"{serial}.mp4", 60, *size) as append:
                    append(pixels)
        (folder / "metadata_x.json").write_text(json.dumps(described))
        return folder

    return write


@pytest.fixture
def small_files() -> Callable[[int], AbstractContextManager[None]]:
    """In the block, writing a file beyond so many bytes fails as on a full disk."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited
