"""World checkpoints come back exactly, or say what is wrong with them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.spec import Look
from worldmodel.weights.checkpoint import save_checkpoint
from worldmodel.weights.encoder import save_encoder
from worldmodel.weights.world import (
    encoder_of,
    load_token_world,
    look_of,
    read_world,
    save_world,
)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[VectorWorld, Path]:
    torch.manual_seed(0)
    encoder = VideoTransformer(
        EncoderConfig(image_size=24, patch_size=12, width=16, depth=1, heads=2)
    )
    sizes = VectorPredictorConfig(tokens=4, token_width=16, width=16, depth=1, head_width=16)
    world = VectorWorld(FrozenEncoder(encoder), VectorPredictor(sizes))
    folder = tmp_path / "world"
    save_world(folder, world, {"note": "test"})
    return world, folder


def test_a_world_comes_back_exactly(saved: tuple[VectorWorld, Path]) -> None:
    world, folder = saved
    again = read_world(folder)
    frames = torch.zeros(1, 1, 24, 24, 3, dtype=torch.uint8)
    ours, theirs = (w.project(w.encode(frames), w.encode(frames)[:, 0]) for w in (world, again))
    assert torch.equal(ours, theirs)
    for name, tensor in world.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_an_encoder_is_taken_from_a_world_as_from_its_own_checkpoint(
    saved: tuple[VectorWorld, Path], tmp_path: Path
) -> None:
    world, folder = saved
    save_encoder(tmp_path / "encoder", world.encoder.model)
    for source in (folder, tmp_path / "encoder"):
        assert encoder_of(source).fingerprint() == world.encoder.fingerprint()
    assert encoder_of("default").fingerprint() == read_world("default").encoder.fingerprint()


@pytest.mark.parametrize("version", [1, 2])
def test_a_world_of_an_older_format_is_read(
    saved: tuple[VectorWorld, Path], tmp_path: Path, version: int
) -> None:
    world, _ = saved
    wanted = world.state_dict()
    for row, name in enumerate(("q90", "q99")):
        rows = torch.arange(wanted[f"predictor.uncertainties.{name}"].numel()) + 100.0 * row
        wanted[f"predictor.uncertainties.{name}"] = rows.view(4, -1)
    stored = {
        name.replace("predictor.uncertainties.", "predictor.doubts."): tensor
        for name, tensor in wanted.items()
    }
    stored["predictor.doubts.infer.0.weight"] = torch.zeros(2, 2)
    for name in ("predictor.doubts.q90", "predictor.doubts.q99"):
        rows = stored[name]
        stored[name] = torch.cat([rows[:1], torch.full_like(rows[:1], -1.0), rows[1:]])
    sizes = asdict(world.predictor.config)
    del sizes["sight"]
    sizes["code_width"], sizes["arm_width"] = sizes.pop("object_width"), sizes.pop("proprio_width")
    encoder = asdict(world.encoder.model.config)
    old = tmp_path / "old"
    save_checkpoint(old, "compact world", {"encoder": encoder, "predictor": sizes}, stored)
    content = json.loads((old / "config.json").read_text()) | {"format_version": version}
    tensors = content.pop("sha256")["tensors"]
    if version == 2:  # the first format had neither digests nor V-JEPA 2.1
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        content["sha256"] = {"config": digest, "tensors": tensors}
    else:
        del content["encoder"]["vjepa_2_1"], content["encoder"]["fixed_grid"]
    (old / "config.json").write_text(json.dumps(content))

    again = read_world(old)
    assert isinstance(again, VectorWorld)
    assert again.predictor.config == world.predictor.config
    found = again.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_a_world_of_format_5_reads_tokens_as_it_did(
    saved: tuple[VectorWorld, Path], tmp_path: Path
) -> None:
    world, _ = saved
    sizes = asdict(world.predictor.config)
    del sizes["sight"], sizes["glimpse"]
    encoder = asdict(world.encoder.model.config)
    settings = {"encoder": encoder, "predictor": sizes}
    save_checkpoint(tmp_path, "vector world", settings, world.state_dict())
    config = tmp_path / "config.json"
    content = json.loads(config.read_text()) | {"format_version": 5}
    tensors = content.pop("sha256")["tensors"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    content["sha256"] = {"config": digest, "tensors": tensors}
    config.write_text(json.dumps(content))
    again = read_world(tmp_path)
    assert isinstance(again, VectorWorld)
    assert again.predictor.config == world.predictor.config


def test_a_world_kept_in_half_the_room_comes_back_in_float32(
    saved: tuple[VectorWorld, Path], tmp_path: Path
) -> None:
    world, whole = saved
    save_world(tmp_path / "half", world, {}, half=True)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (tmp_path / "half", whole)]
    assert sizes[0] < 0.6 * sizes[1]
    again = read_world(tmp_path / "half").state_dict()
    for name, tensor in world.state_dict().items():
        assert again[name].dtype == tensor.dtype, name
        assert torch.allclose(again[name], tensor, rtol=1e-3, atol=1e-6), name


def test_a_world_that_reads_a_grid_comes_back(tmp_path: Path) -> None:
    sizes = EncoderConfig(image_size=24, patch_size=12, width=16, depth=1, heads=2)
    widths = VectorPredictorConfig(
        tokens=4, token_width=16, width=16, depth=1, head_width=16, sight="grid", sight_width=8
    )
    world = VectorWorld(FrozenEncoder(VideoTransformer(sizes)), VectorPredictor(widths))
    save_world(tmp_path, world, {})
    again = read_world(tmp_path)
    assert isinstance(again, VectorWorld)
    frames = torch.randn(2, 4, 16)
    assert torch.equal(
        again.predictor.encode(frames, frames), world.predictor.encode(frames, frames)
    )


def test_a_world_of_several_cameras_comes_back_with_them(tmp_path: Path) -> None:
    sizes = EncoderConfig(image_size=24, patch_size=12, width=16, depth=1, heads=2)
    encoder = FrozenEncoder(VideoTransformer(sizes), cameras=4)
    widths = VectorPredictorConfig(tokens=16, token_width=16, width=16, depth=1, head_width=16)
    save_world(tmp_path, VectorWorld(encoder, VectorPredictor(widths)), {})
    again = read_world(tmp_path)
    assert (again.encoder.cameras, again.encoder.tokens, again.image_size) == (4, 16, 24)
    assert again.encoder.fingerprint() == encoder.fingerprint()
    assert look_of(tmp_path) == Look(24)
    frames = torch.zeros(1, 1, 24, 96, 3, dtype=torch.uint8)
    assert torch.equal(again.encode(frames), encoder.encode(frames))


@pytest.mark.parametrize("cameras", [0, 65, True, "two", 1.0])
def test_a_number_of_cameras_that_is_none_is_refused(
    tmp_path: Path, saved: tuple[VectorWorld, Path], cameras: object
) -> None:
    world, _ = saved
    settings = {"encoder": asdict(world.encoder.model.config) | {"cameras": cameras}}
    settings["predictor"] = asdict(world.predictor.config)
    save_checkpoint(tmp_path / "odd", "vector world", settings, world.state_dict())
    with pytest.raises(UserError, match="expected 1 to 64 cameras"):
        read_world(tmp_path / "odd")


def test_a_truncated_world_is_named(saved: tuple[VectorWorld, Path]) -> None:
    _, folder = saved
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        read_world(folder)


def test_nothing_is_left_without_memory_and_all_of_it_is_its_own(
    saved: tuple[VectorWorld, Path],
) -> None:
    world, folder = saved
    again = read_world(folder)
    (folder / "model.safetensors").write_bytes(b"")  # what was mapped from it would be gone
    for name, tensor in world.named_buffers():  # those that are not stored as well
        assert torch.equal(tensor, again.get_buffer(name)), name
    assert not any(tensor.is_meta for tensor in again.state_dict().values())


@pytest.mark.parametrize(
    ("key", "value"),
    [("heads", 1), ("fixed_grid", 2), ("tiled_rope", True), ("tiled_rope", "no"), ("depth", 10**5)],
)
def test_settings_that_leave_every_shape_as_it_is_cannot_be_changed(
    saved: tuple[VectorWorld, Path], key: str, value: object
) -> None:
    _, folder = saved
    content = json.loads((folder / "config.json").read_text())
    content["encoder"][key] = value
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"config\.json was changed or damaged"):
        read_world(folder)


def test_a_prior_that_is_not_finite_is_named(saved: tuple[VectorWorld, Path]) -> None:
    _, folder = saved
    tensors = load_file(folder / "model.safetensors")
    tensors["predictor.prior_net.0.weight"][0, 0] = torch.nan
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"infinities in predictor\.prior_net\.0\.weight"):
        read_world(folder)


def test_a_missing_world_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a checkpoint"):
        read_world(tmp_path / "nowhere")


def test_a_token_world_comes_back_with_its_statistics(tmp_path: Path) -> None:
    encoder = VideoTransformer(EncoderConfig(image_size=24, width=12, depth=1, heads=2))
    predictor = TokenPredictor(
        TokenPredictorConfig(tokens=4, token_width=12, width=24, depth=1, heads=2)
    )
    predictor.scale_actions.fit(torch.randn(10, 7))
    predictor.state_features.fit(torch.randn(10, 7))
    world = TokenWorld(FrozenEncoder(encoder), predictor)
    save_world(tmp_path, world, {"note": "test"})
    loaded = load_token_world(tmp_path)
    assert loaded.predictor.config == predictor.config
    tensors = loaded.state_dict()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in world.state_dict().items())
