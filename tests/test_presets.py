"""Presets of the published sizes build what was published, with random weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from worldmodel.cli import configuration
from worldmodel.encoders.vision_transformer import VideoTransformer
from worldmodel.predictors.tokens import TokenPredictor
from worldmodel.schedule import warmup_constant_decay


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
    assert (config.residual, config.raw_inputs, config.tiled_rope) == (False, True, True)


def test_the_predictor_is_trained_as_published() -> None:
    training = preset("train", "predictor=vjepa2_ac").predictor.training

    def rate(step: int) -> float:
        shape = (training.warmup, training.decay, training.warmup_start)
        return training.learning_rate * warmup_constant_decay(step, training.steps, *shape)

    assert rate(0) == pytest.approx(7.5e-5, rel=2e-3)
    assert rate(4499) == rate(45_000) == rate(89_999) == pytest.approx(4.25e-4, rel=1e-4)
    assert rate(92_250) == pytest.approx(4.25e-4 / 2, rel=1e-3)
    assert rate(94_499) < 1e-6
    assert (training.batch, training.frames, training.rollout) == (256, 8, 2)
    assert (training.rollout_context, training.weight_decay) == (1, 0.04)
