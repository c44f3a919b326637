"""Checkpoints of token worlds: a frozen encoder and a token predictor with its statistics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.weights.checkpoint import load_model, save_checkpoint
from worldmodel.weights.config_file import StoredConfig

__all__ = ["KIND", "load_token_world", "save_token_world"]

KIND = "token world"


def save_token_world(
    folder: str | os.PathLike[str], world: TokenWorld, record: Mapping[str, Any]
) -> None:
    """Write a checkpoint; ``record`` says how it was trained and what its validation found."""
    settings = {
        "encoder": asdict(world.encoder.model.config),
        "predictor": asdict(world.predictor.config),
        "record": dict(record),
    }
    save_checkpoint(folder, KIND, settings, world.state_dict())


def load_token_world(folder: str | os.PathLike[str]) -> TokenWorld:
    """Read a checkpoint.

    Raises:
        UserError: The folder is not an intact checkpoint of a token world.
    """
    return load_model(folder, KIND, _built)


def _built(config: StoredConfig) -> TokenWorld:
    encoder = VideoTransformer(config.read(EncoderConfig, "encoder"))
    predictor = TokenPredictor(config.read(TokenPredictorConfig, "predictor"))
    return TokenWorld(FrozenEncoder(encoder), predictor)
