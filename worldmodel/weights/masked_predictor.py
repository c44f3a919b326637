"""Checkpoints of masked predictors, as they are kept beside the encoder they were trained with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from worldmodel.encoders.vision_transformer import EncoderConfig
from worldmodel.errors import UserError
from worldmodel.pretraining.masked_predictor import MaskedPredictor, MaskedSizes
from worldmodel.settings import read_settings
from worldmodel.weights.checkpoint import load_checkpoint, load_into, save_checkpoint

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
    settings, tensors = load_checkpoint(folder, _KIND)
    encoder = read_settings(EncoderConfig, settings.get("encoder"), f"{folder}/config.json encoder")
    sizes = read_settings(MaskedSizes, settings.get("predictor"), f"{folder}/config.json predictor")
    try:
        with torch.device("meta"):
            model = MaskedPredictor(encoder, sizes)
    except ValueError as error:
        raise UserError(
            f"{folder}: config.json does not describe a masked predictor ({error})."
        ) from error
    load_into(model, tensors, assign=True)
    return model
