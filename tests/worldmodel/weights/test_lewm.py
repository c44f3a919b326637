"""LeWorldModel's released layout loads, computes what its equations say, and nothing else loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lewm_reference import (
    ACTION,
    BLOCK,
    HISTORY,
    LATENT,
    SIZE,
    encode,
    rollout,
    tiny_weights,
)

from worldmodel.cli.main import main
from worldmodel.data.recording import Recording
from worldmodel.dynamics.train import train
from worldmodel.encoders.lewm import LewmEncoder
from worldmodel.errors import UserError
from worldmodel.predictors.lewm import LewmPredictor
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.presets import preset
from worldmodel.weights.lewm import load_lewm
from worldmodel.weights.world import read_world

HEADS = ("encoder_heads=2", "predictor_heads=2")
MEAN, STD = (0.1, -0.2), (0.5, 2.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As it is on the hub: weights beside a config that is not read."""
    folder = tmp_path / "released"
    folder.mkdir()
    torch.save(tiny_weights(), folder / "weights.pt")
    (folder / "config.json").write_text(json.dumps({"predictor": {"heads": 2}}))
    return folder


def _import(source: Path, out: Path, *words: str) -> int:
    return main(["import", str(source), f"out={out}", *HEADS, *words])


def test_it_computes_what_the_equations_say(tmp_path: Path, folder: Path) -> None:
    stated = (f"action_mean={list(MEAN)}", f"action_std={list(STD)}")
    assert not _import(folder, tmp_path / "out", *(word.replace(" ", "") for word in stated))
    world, weights = read_world(tmp_path / "out"), tiny_weights()
    assert isinstance(world, LewmWorld)
    assert (world.stride, world.action_width, world.image_size) == (BLOCK, ACTION, SIZE)
    assert world.predictor.config.history == HISTORY
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (2, 1, SIZE, SIZE, 3), generator=generator, dtype=torch.uint8)
    latents = world.encode(frames)
    assert latents.shape == (2, 1, 1, LATENT)
    for row, frame in enumerate(frames[:, 0]):
        torch.testing.assert_close(latents[row, 0, 0], encode(weights, frame))
    steps = HISTORY + 2  # the window grows, then it slides
    actions = torch.randn(2, 4, steps * BLOCK, ACTION, generator=generator)
    futures = world.rollout(latents, torch.zeros(2, 1, 3), actions)
    assert futures.latents.shape == (2, 4, steps, 1, LATENT)
    assert futures.states.shape == (2, 4, steps, 3)
    scaled = (actions - torch.tensor(MEAN)) / torch.tensor(STD)
    for b in range(2):
        for s in range(4):
            naive = rollout(weights, latents[b, 0, 0], scaled[b, s].reshape(steps, -1))
            torch.testing.assert_close(futures.latents[b, s, :, 0], naive, rtol=1e-4, atol=1e-5)
    world.rows = 3  # candidates in parts are the same candidates
    parts = world.rollout(latents, torch.zeros(2, 1, 3), actions)
    torch.testing.assert_close(parts.latents, futures.latents, rtol=1e-4, atol=1e-5)


def test_names_of_either_version_of_transformers_are_the_same_weights(tmp_path: Path) -> None:
    worlds = []
    for version, wrapped in ((4, False), (5, True)):
        weights = tiny_weights(version)
        path = tmp_path / f"{version}.pt"
        torch.save(
            {"state_dict": {f"model.{k}": v for k, v in weights.items()}} if wrapped else weights,
            path,
        )
        worlds.append(load_lewm(path, encoder_heads=2, predictor_heads=2).state_dict())
    assert worlds[0].keys() == worlds[1].keys()
    assert all(torch.equal(worlds[1][name], tensor) for name, tensor in worlds[0].items())


def test_the_encoder_is_that_of_transformers(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.ViTConfig(
        **sizes, intermediate_size=48, image_size=SIZE, patch_size=8, hidden_act="gelu"
    )
    vit = transformers.ViTModel(config, add_pooling_layer=False, use_mask_token=False).eval()
    own = {k.removeprefix("encoder."): v for k, v in tiny_weights(5).items()}
    vit.load_state_dict({name: own[name] for name in vit.state_dict()})
    world = load_lewm(folder, encoder_heads=2, predictor_heads=2)
    pixels = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    encoder = world.encoder.model
    with torch.no_grad():
        expected = encoder.projector(vit(pixels).last_hidden_state[:, 0])
        torch.testing.assert_close(encoder.frame_tokens(pixels)[:, 0], expected)


def test_a_world_of_released_weights_goes_on_on_data_of_ones_own(
    tmp_path: Path, folder: Path
) -> None:
    assert not _import(folder, tmp_path / "world")
    rng = np.random.default_rng(0)
    recordings = [
        Recording(
            rng.integers(0, 256, (22, SIZE, SIZE, 3), dtype=np.uint8), rng.normal(size=(22, ACTION))
        )
        for _ in range(4)
    ]
    steps = {"training": {"steps": 2, "batch": 2, "inverse": {"steps": 2}}}
    train(
        data=recordings,
        out=str(tmp_path / "more"),
        predictor=preset("predictor", "lewm", **steps),
        init=str(tmp_path / "world"),
        cache=str(tmp_path / "cache"),
    )
    imported = read_world(tmp_path / "world")
    assert isinstance(imported, LewmWorld)
    assert not imported.predictor.inverse.trained
    more = read_world(tmp_path / "more")
    assert more.stride == BLOCK
    assert more.spec is not None


def test_published_sizes_have_as_many_tensors_as_the_released_file() -> None:
    recipe = preset("predictor", "lewm_published")
    with torch.device("meta"):
        encoder, predictor = LewmEncoder(recipe.encoder), LewmPredictor(recipe.model)
    ours = [*encoder.state_dict(), *predictor.state_dict()]
    joined = 4 * sum("qkv" in name for name in encoder.state_dict()) // 2  # queries, keys, values
    apart = ("scale_actions.", "state_features.", "inverse.")
    own = sum(name.startswith(apart) for name in ours)
    assert len(ours) + joined - own == 303
    assert encoder.positions.shape == (1, 257, 192)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: w.pop("predictor.pos_embedding"), "no predictor.pos_embedding"),
        (lambda w: w.pop("encoder.layernorm.bias"), "norm.bias"),
        (lambda w: w.pop("encoder.encoder.layer.1.attention.attention.key.bias"), "blocks.1.k"),
        (lambda w: w.update(decoder=torch.ones(2)), "got also decoder"),
        (lambda w: w["action_encoder.patch_embed.weight"].resize_(10, 9, 1), "action_block"),
        (
            lambda w: w.update({"predictor.pos_embedding": torch.full((1, 3, 8), torch.nan)}),
            "finite",
        ),
    ],
)
def test_what_is_missing_left_over_or_no_number_is_told(tmp_path: Path, change, told: str) -> None:
    weights = tiny_weights()
    change(weights)
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=told):
        load_lewm(tmp_path, encoder_heads=2, predictor_heads=2)


def test_statistics_of_another_width_and_keys_of_other_models_are_refused(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _import(folder, tmp_path / "out", "action_std=[1,1,1]")
    assert "Expected action_std of 2 numbers" in capsys.readouterr().err
    assert _import(folder, tmp_path / "out", "image_size=32")
    assert "Expected no image_size for kind=lewm" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    torch.save({"predictor.pos_embedding": Path("/")}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="more than tensors"):
        load_lewm(tmp_path)
