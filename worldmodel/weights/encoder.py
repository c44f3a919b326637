"""Checkpoints of encoders, and of the masked predictors that they were trained with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.predictors.masked import MaskedPredictor, MaskedSizes
from worldmodel.weights.checkpoint import load_model, save_checkpoint
from worldmodel.weights.config_file import StoredConfig

__all__ = [
    "KIND",
    "load_encoder",
    "load_masked_predictor",
    "save_encoder",
    "save_masked_predictor",
]

KIND = "encoder"
"""What the checkpoint of an encoder says it is."""

_MASKED_PREDICTOR = "masked predictor"


def save_encoder(
    folder: str | os.PathLike[str],
    model: VideoTransformer,
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write an encoder checkpoint; ``record`` says where it comes from, if there is more to say."""
    settings: dict[str, Any] = {"encoder": asdict(model.config)}
    if record is not None:
        settings["record"] = dict(record)
    save_checkpoint(folder, KIND, settings, model.state_dict())


def load_encoder(folder: str | os.PathLike[str]) -> FrozenEncoder:
    """Read an encoder checkpoint, ready to encode frames.

    Raises:
        UserError: The folder is not an intact encoder checkpoint.
    """

    def build(config: StoredConfig) -> VideoTransformer:
        return VideoTransformer(config.read(EncoderConfig, "encoder"))

    return FrozenEncoder(load_model(folder, KIND, build))


def save_masked_predictor(
    folder: str | os.PathLike[str], model: MaskedPredictor, record: Mapping[str, Any]
) -> None:
    """Write a checkpoint; ``record`` says where it comes from."""
    settings = {
        "encoder": asdict(model.encoder_sizes),
        "predictor": asdict(model.sizes),
        "record": dict(record),
    }
    save_checkpoint(folder, _MASKED_PREDICTOR, settings, model.state_dict())


def load_masked_predictor(folder: str | os.PathLike[str]) -> MaskedPredictor:
    """Read a checkpoint.

    Raises:
        UserError: The folder is not an intact checkpoint of a masked predictor.
    """

    def build(config: StoredConfig) -> MaskedPredictor:
        sizes = config.read(MaskedSizes, "predictor")
        return MaskedPredictor(config.read(EncoderConfig, "encoder"), sizes)

    return load_model(folder, _MASKED_PREDICTOR, build)
