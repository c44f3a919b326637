"""Presets of the published sizes build what was published, with random weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from worldmodel.commands import configuration
from worldmodel.encoders.vision_transformer import VideoTransformer
from worldmodel.predictors.tokens import TokenPredictor


def preset(command: str, *overrides: str):
    configuration.load(command)
    return configuration.typed(configuration.composed(command, ["data=d", "out=o", *overrides]))


def millions(model: torch.nn.Module) -> int:
    return round(sum(parameter.numel() for parameter in model.parameters()) / 1e6)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [("vitl", 256, 300), ("vith", 256, 600), ("vitg", 256, 1000), ("vitg_384", 384, 1000)],
)
def test_encoders_have_the_published_sizes(name: str, size: int, expected: int) -> None:
    config = preset("pretrain", f"encoder={name}").encoder
    with torch.device("meta"):
        model = VideoTransformer(config)
    assert round(millions(model), -2) == expected  # as the paper rounds them
    assert (config.image_size, config.patch_size, config.tubelet) == (size, 16, 2)
    assert config.tiled_rope
    if name.startswith("vitg"):
        assert model.blocks[0].mlp.fc1.out_features == 6144


def test_the_predictor_has_the_published_size() -> None:
    config = preset("train", "predictor=vjepa2_ac").predictor.model
    with torch.device("meta"):
        model = TokenPredictor(replace(config, tokens=256, token_width=1408))
    assert millions(model) == 305
    assert config.width // config.heads == 64
    assert (config.residual, config.raw_states, config.tiled_rope) == (False, True, True)
