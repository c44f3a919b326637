"""``worldmodel train`` makes a world of either kind from any dataset, or says why not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from worldmodel import cli
from worldmodel.data.writer import finish_dataset, write_shard
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.predictors.compact_world import CompactWorld
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.weights.encoder import save_encoder
from worldmodel.weights.world import load_world

SIZE, LENGTH, EPISODES = 24, 14, 6
COMPACT = [
    "predictor.training.code_steps=2",
    "predictor.training.arm_steps=2",
    "predictor.training.dynamics_steps=2",
    "predictor.training.value_steps=2",
    "predictor.model.width=16",
    "predictor.model.head_width=16",
]
TOKENS = ["predictor=tokens", "predictor.training.steps=2", "predictor.training.batch=2"]


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


def _dataset(root: Path, width: int) -> Path:
    make = partial(_episode, width=width)
    episodes = map(make, range(EPISODES))
    write_shard(root, 0, 0, 0, range(EPISODES), episodes, fps=5, camera="front")
    finish_dataset(root, 1, fps=5, camera="front", task="push")
    return root


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    sizes = EncoderConfig(image_size=SIZE, patch_size=12, width=16, depth=1, heads=2)
    save_encoder(folder, VideoTransformer(sizes))
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _dataset(tmp_path_factory.mktemp("data"), width=7)


def _train(tmp_path: Path, data: Path, *options: str) -> int:
    out, cache = tmp_path / "world", tmp_path / "cache"
    return cli.main(["train", f"data={data}", f"out={out}", f"cache={cache}", *options])


def test_either_kind_of_world_is_trained_validated_and_saved(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, options in ((CompactWorld, COMPACT), (TokenWorld, TOKENS)):
        assert not _train(
            tmp_path / kind.__name__, dataset, f"encoder_checkpoint={encoder}", *options
        )
        folder = tmp_path / kind.__name__ / "world"
        assert isinstance(load_world(folder), kind)
        record = json.loads((folder / "config.json").read_text())["record"]
        assert all(np.isfinite(record["validation"]["latent_error"]))
        assert "held-out open loop" in capsys.readouterr().out


def test_widths_are_the_datasets_own(tmp_path: Path, encoder: Path) -> None:
    data = _dataset(tmp_path / "data", width=3)
    assert not _train(tmp_path, data, f"encoder_checkpoint={encoder}", *COMPACT)
    world = load_world(tmp_path / "world")
    assert isinstance(world, CompactWorld)
    assert (world.action_width, world.predictor.config.state_width) == (3, 3)


def test_a_world_goes_on_only_with_actions_of_its_width(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not _train(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *COMPACT)
    world = tmp_path / "a" / "world"
    assert not _train(tmp_path / "b", dataset, f"init={world}", *COMPACT)
    other = _dataset(tmp_path / "data", width=3)
    assert _train(tmp_path / "c", other, f"init={world}", *COMPACT)
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "Expected actions of size 7" in message
    assert "got 3" in message


def test_an_encoder_or_a_world_to_go_on_from_is_asked_for(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(tmp_path, dataset, *COMPACT)
    assert "encoder_checkpoint=… and init=…" in capsys.readouterr().err
