"""Checkpoints of masked predictors, as they are kept beside the encoder they were trained with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from worldmodel.encoders.vision_transformer import EncoderConfig
from worldmodel.predictors.masked import MaskedPredictor, MaskedSizes
from worldmodel.weights.checkpoint import load_model, save_checkpoint
from worldmodel.weights.config_file import StoredConfig

__all__ = ["load_masked_predictor", "save_masked_predictor"]

_KIND = "masked predictor"


def save_masked_predictor(
    folder: str | os.PathLike[str], model: MaskedPredictor, record: Mapping[str, Any]
) -> None:
    """Write a checkpoint; ``record`` says where it comes from."""
    settings = {
        "encoder": asdict(model.encoder_sizes),
        "predictor": asdict(model.sizes),
        "record": dict(record),
    }
    save_checkpoint(folder, _KIND, settings, model.state_dict())


def load_masked_predictor(folder: str | os.PathLike[str]) -> MaskedPredictor:
    """Read a checkpoint.

    Raises:
        UserError: The folder is not an intact checkpoint of a masked predictor.
    """
    return load_model(folder, _KIND, _built)


def _built(config: StoredConfig) -> MaskedPredictor:
    return MaskedPredictor(
        config.read(EncoderConfig, "encoder"), config.read(MaskedSizes, "predictor")
    )
