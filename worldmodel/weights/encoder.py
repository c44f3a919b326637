"""Checkpoints of encoders, and of the masked predictors that they were trained with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from worldmodel.encoders.foreign import ForeignConfig, ForeignModel
from worldmodel.encoders.frame_model import FrameModel
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.lewm import LEWM, LewmEncoder, LewmEncoderConfig
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.predictors.masked import MaskedPredictor, MaskedSizes
from worldmodel.weights.checkpoint import load_model, save_checkpoint
from worldmodel.weights.config_file import REMEDY, StoredConfig

__all__ = [
    "KIND",
    "encoder_settings",
    "encoder_sizes",
    "frozen_encoder",
    "load_encoder",
    "load_masked_predictor",
    "load_video_transformer",
    "save_encoder",
    "save_masked_predictor",
]

KIND = "encoder"
"""What the checkpoint of an encoder says it is."""

_MASKED_PREDICTOR = "masked predictor"

_ENCODER, _CAMERAS = "encoder", "cameras"
_MOST_CAMERAS = 64


def save_encoder(
    folder: str | os.PathLike[str],
    model: FrameModel,
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write an encoder checkpoint; ``record`` says where it comes from, if there is more to say."""
    settings: dict[str, Any] = {_ENCODER: model.stored()}
    if record is not None:
        settings["record"] = dict(record)
    save_checkpoint(folder, KIND, settings, model.state_dict())


def load_encoder(folder: str | os.PathLike[str]) -> FrozenEncoder:
    """Read an encoder checkpoint, ready to encode frames.

    Raises:
        UserError: The folder is not an intact encoder checkpoint.
    """

    def build(config: StoredConfig) -> FrameModel:
        return frozen_encoder(config).model

    return FrozenEncoder(load_model(folder, KIND, build))


def load_video_transformer(folder: str | os.PathLike[str]) -> VideoTransformer:
    """Read an encoder checkpoint; as `load_encoder`, but of our own kind only."""
    model = load_encoder(folder).model
    if not isinstance(model, VideoTransformer):
        raise UserError(
            f"{folder}: expected a video transformer, got an encoder of another library. Name it "
            "as encoder_checkpoint=… of `worldmodel train`."
        )
    return model


def encoder_settings(encoder: FrozenEncoder) -> dict[str, Any]:
    """What a world's checkpoint keeps of its encoder, beside its weights."""
    # Checkpoints of one camera stay as older versions of the toolkit read them.
    cameras = {_CAMERAS: encoder.cameras} if encoder.cameras > 1 else {}
    return encoder.model.stored() | cameras


def frozen_encoder(config: StoredConfig) -> FrozenEncoder:
    """The encoder that a checkpoint's config describes, with random weights.

    Raises:
        UserError: The config describes none, or its library is not installed.
    """
    sizes, cameras = encoder_sizes(config)
    if isinstance(sizes, ForeignConfig):
        return FrozenEncoder(ForeignModel(sizes), cameras)
    if isinstance(sizes, LewmEncoderConfig):
        return FrozenEncoder(LewmEncoder(sizes), cameras)
    return FrozenEncoder(VideoTransformer(sizes), cameras)


def encoder_sizes(
    config: StoredConfig,
) -> tuple[EncoderConfig | ForeignConfig | LewmEncoderConfig, int]:
    """Sizes of the encoder that a checkpoint's config describes, and its number of cameras.

    Raises:
        UserError: The config describes none.
    """
    stored = config.settings.get(_ENCODER)
    if not isinstance(stored, Mapping):
        stored = {}
    cameras = stored.get(_CAMERAS, 1)
    if type(cameras) is not int or not 1 <= cameras <= _MOST_CAMERAS:
        raise UserError(
            f"{config.file}: expected 1 to {_MOST_CAMERAS} cameras, got {cameras!r:.60}. {REMEDY}"
        )
    single = {key: value for key, value in stored.items() if key != _CAMERAS}
    if lewm := single.get("kind") == LEWM:
        del single["kind"]
    config = replace(config, settings={**config.settings, _ENCODER: single})
    if lewm:
        return config.read(LewmEncoderConfig, _ENCODER), cameras
    if "kind" in single:
        return config.read(ForeignConfig, _ENCODER), cameras
    return config.read(EncoderConfig, _ENCODER), cameras


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
