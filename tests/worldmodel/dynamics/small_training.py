"""The smallest trainings there are, of either kind of world, on random frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from worldmodel.cli import main as cli
from worldmodel.data.lerobot.writer import finish_dataset, write_shard
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.weights.encoder import save_encoder

SIZE, LENGTH, EPISODES = 24, 14, 6


TASKS = ("push", "grasp")


COMPACT = [
    "predictor.training.object_latent.steps=2",
    "predictor.training.proprio.steps=2",
    "predictor.training.scenes.steps=2",
    "predictor.training.state_model.steps=2",
    "predictor.training.dynamics.steps=2",
    "predictor.training.value.steps=2",
    "predictor.training.prior.steps=2",
    "predictor.training.reachability.steps=2",
    "predictor.training.uncertainty.steps=2",
    "predictor.training.macros.steps=2",
    "predictor.training.macros.rollout=1",
    "predictor.model.width=16",
    "predictor.model.head_width=16",
    "predictor.model.prior_width=16",
]


TOKENS = [
    "predictor=tokens",
    "predictor.training.steps=2",
    "predictor.training.batch=2",
    "predictor.training.state_model.steps=2",
]


LEWM = [
    "predictor=lewm",
    "predictor.training.steps=2",
    "predictor.training.batch=2",
    "predictor.training.state_model.steps=2",
    "predictor.training.inverse.steps=2",
    f"predictor.encoder.image_size={SIZE}",
    "predictor.encoder.patch_size=12",
    "predictor.encoder.width=12",
    "predictor.encoder.depth=1",
]


@dataclass(frozen=True)
class _Episode:
    frames: np.ndarray
    actions: np.ndarray
    states: np.ndarray
    objects: np.ndarray | None
    task: str = "push"


def _episode(seed: int, width: int) -> _Episode:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (LENGTH, SIZE, SIZE, 3), dtype=np.uint8)
    actions, states = (rng.normal(size=(LENGTH, width)).astype(np.float32) for _ in range(2))
    return _Episode(frames, actions, states, None)


def make_dataset(root: Path, width: int, seed: int = 0) -> Path:
    make = partial(_episode, width=width)
    episodes = [
        replace(make(seed + number), task=TASKS[number % len(TASKS)]) for number in range(EPISODES)
    ]
    common = {"tasks": TASKS, "fps": 5, "camera": "front"}
    write_shard(root, 0, 0, 0, range(EPISODES), episodes, **common)
    finish_dataset(root, 1, **common)
    return root


def make_encoder(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    sizes = EncoderConfig(image_size=SIZE, patch_size=12, width=16, depth=1, heads=2)
    save_encoder(folder, VideoTransformer(sizes))
    return folder


def train_small(tmp_path: Path, data: Path, *options: str) -> int:
    out, cache = tmp_path / "world", tmp_path / "cache"
    return cli.main(["train", f"data={data}", f"out={out}", f"cache={cache}", *options])
