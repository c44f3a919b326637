"""What tests of several packages share: a tiny world, tiny episodes, and a full disk."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import h5py
import numpy as np
import pytest
import torch
from gymnasium import spaces

from worldmodel.data.lerobot.video import writing_video
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.weights.world import save_world

SERIALS = {"ext1": "11111111", "ext2": "22222222", "wrist": "33333333"}
SIZE = 64
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


@pytest.fixture(scope="session")
def tiny_world() -> VectorWorld:
    """An untrained world that claims to know macro-actions; the same one every time."""
    torch.manual_seed(0)
    sizes = EncoderConfig(image_size=SIZE, patch_size=16, width=24, depth=1, heads=2)
    encoder = FrozenEncoder(VideoTransformer(sizes))
    predictor = VectorPredictor(
        VectorPredictorConfig(tokens=16, token_width=24, members=2, width=16)
    )
    predictor.macros.trained.fill_(True)
    predictor.memory.fill(torch.randn(20, predictor.memory.latents.shape[1]), torch.arange(20))
    return VectorWorld(encoder, predictor)


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_world: VectorWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    save_world(folder, tiny_world, {})
    return folder


_IMAGE = spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)


class PointEnv(gymnasium.Env):
    """A point on a line that actions move; it is at its goal within 4 cm of 0.

    It shows its position as brightness, and records the actions it was given.
    """

    action_space = spaces.Box(-1.0, 1.0, (7,))
    observation_space = spaces.Dict(
        {"image": _IMAGE, "goal": _IMAGE, "state": spaces.Box(-np.inf, np.inf, (7,))}
    )

    def __init__(self, start: float = 0.2) -> None:
        self.start = self.position = start
        self.goal_state = np.zeros(7)
        self.actions: list[np.ndarray] = []
        self.seeds: list[int] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self.seeds.append(seed)
        self.position = self.start
        return self.observe(), self.info() | {"subgoals": self.image(0.1)[None]}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        self.actions.append(np.array(action))
        self.position += float(action[0])
        return self.observe(), 0.0, False, False, self.info()

    def observe(self) -> dict[str, np.ndarray]:
        state = np.array([self.position, 0, 0, 0, 0, 0, 0], np.float32)
        return {"image": self.image(self.position), "state": state, "goal": self.image(0.0)}

    def info(self) -> dict[str, Any]:
        return {"success": abs(self.position) <= 0.04, "distance": abs(self.position)}

    @staticmethod
    def image(position: float) -> np.ndarray:
        return np.full((SIZE, SIZE, 3), int(np.clip(128 + 100 * position, 0, 255)), np.uint8)


@pytest.fixture
def point_env() -> type[PointEnv]:
    return PointEnv
