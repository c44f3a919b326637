"""Encoder checkpoints: a video transformer and its sizes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.weights.checkpoint import load_model, save_checkpoint
from worldmodel.weights.config_file import StoredConfig

__all__ = ["KIND", "load_encoder", "save_encoder"]

KIND = "encoder"
"""What the checkpoint says it is."""


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
    return FrozenEncoder(load_model(folder, KIND, _built))


def _built(config: StoredConfig) -> VideoTransformer:
    return VideoTransformer(config.read(EncoderConfig, "encoder"))
