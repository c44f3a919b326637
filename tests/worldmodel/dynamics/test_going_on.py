"""``init=…`` goes on from a world, and keeps what its weights were trained with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_training import COMPACT, LEWM, TOKENS, make_dataset, train_small

from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.weights.world import read_world


def test_a_world_goes_on_only_with_actions_of_its_width(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not train_small(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *COMPACT)
    world = tmp_path / "a" / "world"
    assert not train_small(tmp_path / "b", dataset, f"init={world}", *COMPACT)
    other = make_dataset(tmp_path / "data", width=3)
    assert train_small(tmp_path / "c", other, f"init={world}", *COMPACT)
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "expected action_width of 7" in message
    assert "got 3" in message


def test_a_token_world_goes_on_with_its_weights_and_scaling(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not train_small(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *TOKENS)
    world = tmp_path / "a" / "world"
    other = make_dataset(tmp_path / "data", width=7, seed=100)
    rates = ("learning_rate=0", "state_model.learning_rate=0")
    still = [*TOKENS, *(f"predictor.training.{rate}" for rate in rates)]
    assert not train_small(tmp_path / "b", other, f"init={world}", *still)
    before, after = read_world(world), read_world(tmp_path / "b" / "world")
    for name, value in before.predictor.state_dict().items():
        assert torch.equal(after.predictor.state_dict()[name], value), name
    assert not torch.equal(after.familiarity.usual, before.familiarity.usual)  # of its own frames
    assert train_small(tmp_path / "c", dataset, f"init={world}", *COMPACT)
    assert "holds a world of predictor=tokens" in capsys.readouterr().err
    assert train_small(tmp_path / "d", dataset, f"init={world}", *TOKENS, "predictor.model.depth=3")
    assert "cannot change to 3" in capsys.readouterr().err


def test_a_vector_world_goes_on_with_its_scaling_on_other_data(
    tmp_path: Path, dataset: Path, encoder: Path
) -> None:
    assert not train_small(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *COMPACT)
    world = tmp_path / "a" / "world"
    other = make_dataset(tmp_path / "data", width=7, seed=100)
    assert not train_small(tmp_path / "b", other, f"init={world}", *COMPACT)
    before, after = (read_world(path).predictor for path in (world, tmp_path / "b" / "world"))
    for part in ("scale_actions", "state_features"):
        kept = getattr(after, part).state_dict()
        for name, value in getattr(before, part).state_dict().items():
            assert torch.equal(kept[name], value), f"{part}.{name}"


def test_lewm_trains_its_encoder_itself_and_goes_on(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_small(tmp_path, dataset, f"encoder_checkpoint={encoder}", *LEWM)
    assert "Expected no encoder_checkpoint with predictor=lewm" in capsys.readouterr().err
    assert not train_small(tmp_path, dataset, *LEWM)
    assert "held-out open loop" in capsys.readouterr().out
    world = read_world(tmp_path / "world")
    assert isinstance(world, LewmWorld)
    assert (world.action_width, world.predictor.config.state_width) == (7, 7)
    assert world.spec is not None
    actions = torch.from_numpy(Dataset.open(dataset).actions)
    scaled = world.predictor.scale_actions(actions)
    assert scaled.mean(0).abs().max() < 0.3  # standard scores, of the episodes that were trained on
    record = json.loads((tmp_path / "world" / "config.json").read_text())["record"]
    assert len(record["validation"]["latent_error"]) == 5
    assert record["proprioception"]["control_steps"]
    assert record["inverse"]["left"][0] == 1
    assert world.predictor.inverse.trained
    apart = [*LEWM, "predictor.training.inverse.steps=0"]
    assert not train_small(tmp_path / "more", dataset, f"init={tmp_path / 'world'}", *apart)
    more = read_world(tmp_path / "more" / "world")
    assert isinstance(more, LewmWorld)
    assert not more.predictor.inverse.trained  # it knew other latents
    assert more.encoder.fingerprint() != world.encoder.fingerprint()
    assert torch.equal(more.predictor.scale_actions.rest, world.predictor.scale_actions.rest)
    alone = [*LEWM, "predictor.training.steps=0", "predictor.training.state_model.steps=0"]
    assert not train_small(
        tmp_path / "same", dataset, f"init={tmp_path / 'more' / 'world'}", *alone
    )
    same, before = read_world(tmp_path / "same" / "world").state_dict(), more.state_dict()
    changed = {name for name, tensor in same.items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith("predictor.inverse.") for name in changed)
    for options, told in (
        (["predictor.model.depth=3"], "predictor.model.depth=4, which training on cannot change"),
        (["predictor.encoder.depth=2"], "predictor.encoder.depth=1, which training on cannot"),
    ):
        assert train_small(tmp_path / "c", dataset, f"init={tmp_path / 'world'}", *LEWM, *options)
        assert told in capsys.readouterr().err
    assert train_small(tmp_path / "d", dataset, f"init={tmp_path / 'world'}", *TOKENS)
    assert "holds a world of predictor=lewm" in capsys.readouterr().err
