"""World checkpoints come back exactly, or say what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.predictors.compact import CompactConfig, CompactPredictor
from worldmodel.predictors.compact_world import CompactWorld
from worldmodel.weights.world import load_world, save_world


@pytest.fixture
def saved(tmp_path: Path) -> tuple[CompactWorld, Path]:
    torch.manual_seed(0)
    encoder = VideoTransformer(
        EncoderConfig(image_size=24, patch_size=12, width=16, depth=1, heads=2)
    )
    sizes = CompactConfig(tokens=4, token_width=16, width=16, depth=1, head_width=16)
    world = CompactWorld(FrozenEncoder(encoder), CompactPredictor(sizes))
    folder = tmp_path / "world"
    save_world(folder, world, {"note": "test"})
    return world, folder


def test_a_world_comes_back_exactly(saved: tuple[CompactWorld, Path]) -> None:
    world, folder = saved
    again = load_world(folder)
    frames = torch.zeros(1, 1, 24, 24, 3, dtype=torch.uint8)
    ours, theirs = (w.compare(w.encode(frames), w.encode(frames)[:, 0]) for w in (world, again))
    assert torch.equal(ours, theirs)
    for name, tensor in world.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_a_truncated_world_is_named(saved: tuple[CompactWorld, Path]) -> None:
    _, folder = saved
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        load_world(folder)


def test_a_config_of_other_sizes_is_refused(saved: tuple[CompactWorld, Path]) -> None:
    _, folder = saved
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"code_width": 16', '"code_width": 4'))
    with pytest.raises(UserError, match="wrong shape"):
        load_world(folder)


def test_a_missing_world_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a checkpoint"):
        load_world(tmp_path / "nowhere")
