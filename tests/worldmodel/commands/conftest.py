"""A world checkpoint that takes milliseconds to plan with, and environments without a simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.predictors.compact import CompactConfig, CompactPredictor
from worldmodel.predictors.compact_world import CompactWorld
from worldmodel.weights.world import save_world

SIZE = 64


@pytest.fixture(scope="session")
def tiny_world() -> CompactWorld:
    """An untrained world that claims to know macro-actions; the same one every time."""
    torch.manual_seed(0)
    sizes = EncoderConfig(image_size=SIZE, patch_size=16, width=24, depth=1, heads=2)
    encoder = FrozenEncoder(VideoTransformer(sizes))
    predictor = CompactPredictor(CompactConfig(tokens=16, token_width=24, members=2, width=16))
    predictor.macros.trained.fill_(True)
    predictor.memory.fill(torch.randn(20, predictor.memory.latents.shape[1]), torch.arange(20))
    return CompactWorld(encoder, predictor)


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_world: CompactWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    save_world(folder, tiny_world, {})
    return folder


class PointEnv:
    """A point on a line that actions move; it is at its goal within 4 cm of 0.

    It has the interface of ``envs.TabletopEnv``, shows its position as brightness, and records the
    actions it was given.
    """

    def __init__(self, start: float = 0.2) -> None:
        self.start = self.position = start
        self.goal_state = np.zeros(7)
        self.actions: list[np.ndarray] = []
        self.seeds: list[int] = []

    def reset(self, *, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
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
