"""Encoders of `timm` compute here what they compute there; timm itself needs no torchvision."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.errors import UserError
from worldmodel.nn.blocks import normalise
from worldmodel.weights.encoder import load_encoder, save_encoder
from worldmodel.weights.foreign import load_foreign

SIZE = 32


class _Anything(type):
    """A class whose every attribute is its own name."""

    def __getattr__(cls, name: str) -> str:
        return name


class _StandIn(ModuleType):
    """A module of torchvision that has every class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _Finder:
    """Stands in for torchvision, of which timm needs only names when it is imported.

    It has no build for every torch, and one of another build cannot be imported.
    """

    found: set[str]

    def __init__(self) -> None:
        self.found = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] != "torchvision":
            return None
        self.found.add(name)
        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []


@pytest.fixture(scope="module")
def timm() -> Iterator[Any]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    try:
        module = importlib.import_module("timm")
    except ModuleNotFoundError:
        pytest.skip("timm is not installed")
    finally:
        sys.meta_path.remove(finder)  # type: ignore[arg-type]
        for name in finder.found:
            sys.modules.pop(name, None)
    return module


def make(timm: Any, folder: Path, name: str = "vit_tiny_patch16_224", **options: Any) -> Any:
    """Save a random network in the layout that timm has on the Hub."""
    torch.manual_seed(0)
    options = {"img_size": SIZE, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2} | (
        options
    )
    network = timm.create_model(name, pretrained=False, num_classes=3, **options).eval()
    for parameter in network.parameters():
        parameter.data.normal_(std=0.2)
    folder.mkdir(parents=True, exist_ok=True)
    shown = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25], "classifier": "head"}
    config = {
        "architecture": name,
        "num_classes": 3,
        "model_args": options,
        "pretrained_cfg": {**shown, "input_size": [3, SIZE, SIZE]},
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), folder / "model.safetensors")
    return network


def latents(encoder: FrozenEncoder, image: np.ndarray) -> torch.Tensor:
    return encoder.encode(torch.from_numpy(image)[None, None])[0, 0]


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("vit_tiny_patch16_224", 1),
        ("vit_small_patch16_dinov3", 5),
        ("vit_base_patch16_siglip_224", 0),
    ],
)
def test_tokens_are_those_of_the_library(
    timm: Any, tmp_path: Path, image: np.ndarray, name: str, prefix: int
) -> None:
    network = make(timm, tmp_path / "model", name)
    encoder = load_foreign(f"timm:{tmp_path / 'model'}")
    assert (encoder.image_size, encoder.tokens, encoder.width) == (SIZE, 16, 24)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.25])
    pixels = (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        theirs = network.forward_features(pixels)[0, prefix:]
    torch.testing.assert_close(latents(encoder, image), normalise(theirs), atol=1e-5, rtol=1e-5)
    save_encoder(tmp_path / "out", encoder.model)
    loaded = load_encoder(tmp_path / "out")
    assert torch.equal(latents(loaded, image), latents(encoder, image))
    assert loaded.fingerprint() == encoder.fingerprint()


def test_a_name_of_timm_is_fetched_from_its_repository(
    timm: Any, tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(timm, tmp_path / "model")
    asked: list[str] = []

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked.append(name)
        return str(tmp_path / "model")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    expected = latents(load_foreign(f"timm:{tmp_path / 'model'}"), image)
    for name in ("vit_tiny_patch16_224", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"):
        assert torch.equal(latents(load_foreign(f"timm:{name}"), image), expected)
    assert asked == ["timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"] * 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"architecture": "vit_tinny"}, "unknown network 'vit_tinny' of timm"),
        ({"architecture": "hf-hub:somebody/net"}, "unknown network"),
        ({"architecture": "resnet18", "model_args": {}}, "of a square grid of patches"),
        ({"model_args": {"colour": "red"}}, "that timm can build, got TypeError"),
        ({"model_args": {}}, "expected tokens of frames of 32x32|do not fit"),
        ({"pretrained_cfg": {"input_size": [3, 32, 32]}}, "mean"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    timm: Any, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    make(timm, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(UserError, match=told) as caught:
        load_foreign(f"timm:{tmp_path}")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "error",
    [ModuleNotFoundError("No module named 'torchvision'"), RuntimeError("no torchvision::nms")],
)
def test_a_torchvision_that_is_missing_or_of_another_build_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(module: str, *, extra: str) -> Any:
        raise error

    monkeypatch.setattr("worldmodel.encoders.timm_networks.required", fail)
    with pytest.raises(UserError, match=r"timm cannot be imported \(.*needs the torchvision of"):
        load_foreign(f"timm:{tmp_path}")


def test_a_name_that_timm_has_not_is_told(timm: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown network 'vit_tinny'"):
        load_foreign("timm:vit_tinny")
    make(timm, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors does not exist"):
        load_foreign(f"timm:{tmp_path}")
