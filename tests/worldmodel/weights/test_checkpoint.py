import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from worldmodel.errors import UserError
from worldmodel.files.disk import NoRoomError
from worldmodel.finite import NotFiniteError
from worldmodel.weights.checkpoint import (
    checkpoint_sha256,
    load_checkpoint,
    load_into,
    load_model,
    save_checkpoint,
)
from worldmodel.weights.config_file import StoredConfig

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


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "config.json").read_text())
    change(content)
    (folder / "config.json").write_text(json.dumps(content))


def rewrite(folder: Path, **tensors: torch.Tensor) -> None:
    """Put other tensors in place, as another program would."""
    file = folder / "model.safetensors"
    stored = load_file(file) | tensors
    file.unlink()
    save_file(stored, file)


def test_settings_that_were_changed_are_refused(folder: Path) -> None:
    intact = (folder / "config.json").read_text()
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda content: content.update(width=4),
        lambda content: content.update(width=3.0),
        lambda content: content["names"].reverse(),
        lambda content: content.pop("names"),
        lambda content: content.update(more=None),
        lambda content: content.update(kind="other thing"),
        lambda content: content.update(format_version=1),
        lambda content: content["sha256"].update(config="0" * 64),
        lambda content: content.pop("sha256"),
        lambda content: content.update(sha256=["a"]),
    ]
    for change in changes:
        (folder / "config.json").write_text(intact)
        edit(folder, change)
        with pytest.raises(
            UserError, match=r"config\.json was changed or damaged after it was saved"
        ):
            load_checkpoint(folder, "thing")


def test_settings_in_another_order_are_the_same(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(dict(reversed(content.items()))))
    assert load_checkpoint(folder, "thing")[0] == CONFIG


def test_settings_that_are_stored_as_something_else_are_the_same(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "thing", {"pair": (1, 2), "names": {9: "c", 10: "d"}}, {})
    assert load_checkpoint(tmp_path, "thing")[0] == {"pair": [1, 2], "names": {"9": "c", "10": "d"}}


def test_tensors_that_were_changed_are_refused(folder: Path) -> None:
    rewrite(folder, bias=load_file(folder / "model.safetensors")["bias"] + 1e-6)
    with pytest.raises(UserError, match=r"model\.safetensors was changed or damaged after"):
        load_checkpoint(folder, "thing")


def test_numbers_that_are_not_finite_are_refused_by_the_name_of_their_tensor(folder: Path) -> None:
    for number in (torch.nan, torch.inf, -torch.inf):
        rewrite(folder, bias=torch.tensor([0.0, number, 1.0]))
        with pytest.raises(UserError, match=r"model\.safetensors: .*infinities in bias\."):
            load_checkpoint(folder, "thing")


def test_a_range_that_is_not_known_may_be_infinite_and_no_nan(tmp_path: Path) -> None:
    known = {"predictor.state_features.lowest": torch.tensor([0.0, -torch.inf])}
    save_checkpoint(tmp_path, "thing", {}, known)
    assert torch.equal(load_checkpoint(tmp_path, "thing")[1].popitem()[1], *known.values())
    with pytest.raises(UserError, match="infinities in predictor"):
        save_checkpoint(tmp_path, "thing", {}, dict.fromkeys(known, torch.tensor(torch.nan)))


def test_a_model_takes_no_memory_before_it_is_known_to_fit(folder: Path) -> None:
    built = []

    def build(config: StoredConfig) -> nn.Linear:
        built.append(nn.Linear(2, config.settings["width"] + len(built)))
        return built[-1]

    load_model(folder, "thing", build)
    with pytest.raises(UserError, match=r"wrong shape: weight \(expected \[4, 2\], got \[3, 2\]"):
        load_model(folder, "thing", build, assign=False)
    assert [module.weight.is_meta for module in built] == [False, True]


def first_format(folder: Path) -> None:
    """Turn a checkpoint into one of format 1, which had no digests."""
    edit(folder, lambda content: content.pop("sha256") and content.update(format_version=1))


def test_the_first_format_is_read(folder: Path) -> None:
    first_format(folder)
    assert load_checkpoint(folder, "thing")[0] == CONFIG


@pytest.mark.parametrize("version", [True, 2.0, "2", None, [1]])
def test_a_version_of_another_type_is_refused(folder: Path, version: object) -> None:
    edit(folder, lambda content: content.update(format_version=version))
    with pytest.raises(UserError, match=r"config\.json is damaged \(expected format_version, got"):
        load_checkpoint(folder, "thing")


@pytest.mark.parametrize("kind", [["thing"], {"thing": 1}, None])
def test_a_kind_of_another_type_is_refused(folder: Path, kind: object) -> None:
    edit(folder, lambda content: content.update(kind=kind))
    with pytest.raises(UserError, match=r"config\.json is damaged \(expected kind, got"):
        load_checkpoint(folder, "thing")


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
    with pytest.raises(UserError, match="checkpoint format 99, this version reads 1 to 7"):
        load_checkpoint(folder, "thing")


def test_every_key_that_does_not_fit_is_listed() -> None:
    tensors = {"weight": torch.zeros(2, 2), "extra.gain": torch.zeros(1)}
    with pytest.raises(UserError) as caught:
        load_into(nn.Linear(2, 3), tensors)
    message = str(caught.value)
    assert "missing: bias" in message
    assert "unexpected: extra.gain" in message
    assert "wrong shape: weight (expected [3, 2], got [2, 2])" in message


def test_numbers_of_another_type_are_refused() -> None:
    tensors = nn.Linear(2, 3).bfloat16().state_dict()
    with pytest.raises(UserError) as caught:
        load_into(nn.Linear(2, 3), tensors)
    assert "wrong type: weight (expected torch.float32, got torch.bfloat16)" in str(caught.value)


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
