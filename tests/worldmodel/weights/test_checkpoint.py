import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from worldmodel.data.disk import NoRoomError
from worldmodel.errors import UserError
from worldmodel.finite import NotFiniteError
from worldmodel.weights.checkpoint import (
    checkpoint_sha256,
    load_checkpoint,
    load_into,
    save_checkpoint,
)

CONFIG = {"width": 3, "names": ["a", "b"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "model", "thing", CONFIG, nn.Linear(2, 3).state_dict())
    return tmp_path / "model"


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    tensors = {"weight": torch.randn(3, 2).T, "count": torch.tensor(4)}
    save_checkpoint(tmp_path, "thing", CONFIG, tensors)
    config, loaded = load_checkpoint(tmp_path, "thing")
    assert config == CONFIG
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_whoever_may_read_the_settings_may_read_the_weights(folder: Path) -> None:
    modes = [(folder / name).stat().st_mode for name in ("config.json", "model.safetensors")]
    assert modes[0] == modes[1]


def test_a_failed_save_leaves_the_old_checkpoint(folder: Path) -> None:
    before = checkpoint_sha256(folder)
    shared = torch.zeros(4)
    overlapping = {"a": shared[:3], "b": shared[1:]}  # safetensors refuses
    with pytest.raises(RuntimeError):
        save_checkpoint(folder, "thing", {}, overlapping)
    assert checkpoint_sha256(folder) == before


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_not_written(folder: Path, number: float) -> None:
    before = checkpoint_sha256(folder)
    with pytest.raises(NotFiniteError, match=r"got NaN or infinities in bias; nothing is written"):
        save_checkpoint(folder, "thing", {}, {"bias": torch.tensor([0.0, number])})
    assert checkpoint_sha256(folder) == before


def test_settings_of_one_checkpoint_never_lie_beside_tensors_of_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def watched(source: Path, target: Path) -> None:
        replace(source, target)
        seen.append(sorted(path.name for path in folder.iterdir() if path.is_file()))

    replace = os.replace
    monkeypatch.setattr(os, "replace", watched)
    save_checkpoint(folder, "thing", {}, {"a": torch.zeros(4)})
    assert seen == [["model.safetensors"], ["config.json", "model.safetensors"]]


@pytest.mark.parametrize(
    ("config", "tensor", "name"),
    [({}, torch.zeros(5000), "model.safetensors"), ({"a": "x" * 9000}, torch.zeros(1), "config")],
)
def test_a_full_disk_keeps_the_old_checkpoint_and_is_named(
    folder: Path,
    small_files: Callable[[int], Any],
    config: dict[str, Any],
    tensor: torch.Tensor,
    name: str,
) -> None:
    before = checkpoint_sha256(folder)
    with small_files(3000), pytest.raises(NoRoomError, match=f"free in {folder} for {name}"):
        save_checkpoint(folder, "thing", config, {"a": tensor})
    assert checkpoint_sha256(folder) == before
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"is not a checkpoint: it has no {name}"):
        load_checkpoint(folder, "thing")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kept", [0, 20])
def test_a_truncated_file_is_named(folder: Path, name: str, kept: int) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:kept])
    with pytest.raises(UserError, match=f"{name} is damaged"):
        load_checkpoint(folder, "thing")


def test_another_version_or_kind_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="holds a checkpoint of kind 'thing', expected 'world'"):
        load_checkpoint(folder, "world")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"format_version": 99}))
    with pytest.raises(UserError, match="checkpoint format 99, this version reads 1"):
        load_checkpoint(folder, "thing")


def test_every_key_that_does_not_fit_is_listed() -> None:
    tensors = {"weight": torch.zeros(2, 2), "extra.gain": torch.zeros(1)}
    with pytest.raises(UserError) as caught:
        load_into(nn.Linear(2, 3), tensors)
    message = str(caught.value)
    assert "missing: bias" in message
    assert "unexpected: extra.gain" in message
    assert "wrong shape: weight (expected [3, 2], got [2, 2])" in message


def test_allowed_misfits_pass_and_the_rest_is_loaded() -> None:
    module = nn.Linear(2, 3)
    bias = module.bias.detach().clone()
    tensors = {"weight": torch.ones(3, 2), "extra.gain": torch.zeros(1)}
    load_into(module, tensors, allow_missing=["bias"], allow_unexpected=["extra."])
    assert torch.equal(module.weight, torch.ones(3, 2))
    assert torch.equal(module.bias, bias)


def test_the_digest_sees_weights_and_settings(folder: Path) -> None:
    digest = checkpoint_sha256(folder)
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert checkpoint_sha256(folder) != digest
