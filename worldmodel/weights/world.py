"""World checkpoints: a frozen encoder, an action-conditioned predictor and its statistics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.predictors.lewm import LewmPredictor, LewmPredictorConfig
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.predictors.worlds import AnyWorld
from worldmodel.spec import Look, Spec, read_spec
from worldmodel.weights.checkpoint import (
    checkpoint_kind,
    checkpoint_sha256,
    load_model,
    save_checkpoint,
    stored_config,
)
from worldmodel.weights.config_file import StoredConfig
from worldmodel.weights.encoder import (
    encoder_settings,
    encoder_sizes,
    frozen_encoder,
    load_encoder,
)
from worldmodel.weights.foreign import is_foreign, load_foreign

__all__ = [
    "DEFAULT",
    "LEWM_WORLD",
    "SHIPPED",
    "TOKEN_WORLD",
    "checkpoint_folder",
    "encoder_of",
    "identity",
    "is_world",
    "load_lewm_world",
    "load_token_world",
    "load_vector_world",
    "look_of",
    "read_world",
    "save_world",
]

DEFAULT = "default"
SHIPPED = (DEFAULT, "two_room")
"""Checkpoints that come with the package: of the built-in arm, and of a foreign environment."""
TOKEN_WORLD, LEWM_WORLD, _VECTOR_WORLD = "token world", "lewm world", "vector world"
"""Kinds of checkpoints."""
_KINDS = {TokenWorld: TOKEN_WORLD, LewmWorld: LEWM_WORLD, VectorWorld: _VECTOR_WORLD}


def checkpoint_folder(name: str | os.PathLike[str]) -> Path:
    """The folder that a checkpoint's name stands for, of those in `SHIPPED` the package's own."""
    if str(name) in SHIPPED:
        return Path(str(files("worldmodel") / "checkpoints" / str(name)))
    return Path(name)


def save_world(
    folder: str | os.PathLike[str],
    world: AnyWorld,
    record: Mapping[str, Any],
    half: bool = False,
) -> None:
    """Write a world checkpoint.

    Args:
        folder: Created if need be.
        world: What to save.
        record: How it was trained and what its validation found; JSON-serialisable.
        half: Keep matrices in float16, which takes half the room; statistics stay exact.
    """
    settings = {
        "encoder": encoder_settings(world.encoder),
        "predictor": asdict(world.predictor.config),
        "spec": None if world.spec is None else world.spec.stored(),
        "record": dict(record),
    }
    tensors = world.state_dict()
    if half:
        matrices = {name for name, t in tensors.items() if t.is_floating_point() and t.ndim > 1}
        tensors = {name: t.half() if name in matrices else t for name, t in tensors.items()}
    save_checkpoint(folder, _KINDS[type(world)], settings, tensors)


def read_world(name: str | os.PathLike[str] = DEFAULT) -> AnyWorld:
    """Read a world checkpoint of any kind.

    Args:
        name: Its folder, or ``"default"`` for the shipped one.

    Raises:
        UserError: The folder is not an intact world checkpoint.
    """
    folder = checkpoint_folder(name)
    kind = checkpoint_kind(folder)
    if kind == TOKEN_WORLD:
        return load_token_world(folder)
    return load_lewm_world(folder) if kind == LEWM_WORLD else load_vector_world(folder)


def identity(name: str | os.PathLike[str] | None) -> dict[str, str | None]:
    """What a report says of a checkpoint: its name, and the digest of its files."""
    if name is None:
        return {"name": None, "sha256": None}
    return {"name": str(name), "sha256": checkpoint_sha256(checkpoint_folder(name))}


def look_of(name: str | os.PathLike[str]) -> Look:
    """How an environment is to be made for a world, from its config alone.

    Raises:
        UserError: The folder is not a checkpoint.
    """
    config = stored_config(checkpoint_folder(name))
    return Look.of(_spec(config), encoder_sizes(config)[0].image_size)


def encoder_of(name: str | os.PathLike[str]) -> FrozenEncoder:
    """The encoder of a checkpoint, or of another library.

    Args:
        name: Folder of an encoder or of a world, ``"default"`` for the shipped world, or what
            `load_foreign` takes.

    Raises:
        UserError: The folder is not an intact checkpoint of either, or the library has no such
            encoder.
    """
    if is_foreign(name):
        return load_foreign(str(name))
    if is_world(name):
        return read_world(name).encoder
    return load_encoder(checkpoint_folder(name))


def is_world(name: str | os.PathLike[str]) -> bool:
    """Whether that is a world's checkpoint, rather than an encoder's.

    Raises:
        UserError: The folder is no intact checkpoint.
    """
    if is_foreign(name):
        return False
    return checkpoint_kind(checkpoint_folder(name)) in _KINDS.values()


def load_vector_world(name: str | os.PathLike[str] = DEFAULT) -> VectorWorld:
    """Read a vector world's checkpoint; as `read_world`, but no other kind will do."""

    def build(config: StoredConfig) -> VectorWorld:
        predictor = VectorPredictor(config.read(VectorPredictorConfig, "predictor"))
        return VectorWorld(frozen_encoder(config), predictor, _spec(config))

    return load_model(checkpoint_folder(name), _VECTOR_WORLD, build, assign=False)


def load_token_world(name: str | os.PathLike[str]) -> TokenWorld:
    """Read a token world's checkpoint; as `read_world`, but no other kind will do."""

    def build(config: StoredConfig) -> TokenWorld:
        predictor = TokenPredictor(config.read(TokenPredictorConfig, "predictor"))
        return TokenWorld(frozen_encoder(config), predictor, _spec(config))

    return load_model(checkpoint_folder(name), TOKEN_WORLD, build)


def load_lewm_world(name: str | os.PathLike[str]) -> LewmWorld:
    """Read a checkpoint of LeWorldModel; as `read_world`, but no other kind will do."""

    def build(config: StoredConfig) -> LewmWorld:
        predictor = LewmPredictor(config.read(LewmPredictorConfig, "predictor"))
        return LewmWorld(frozen_encoder(config), predictor, _spec(config))

    return load_model(checkpoint_folder(name), LEWM_WORLD, build, assign=False)


def _spec(config: StoredConfig) -> Spec | None:
    """What actions, states and cameras mean; None of a checkpoint that does not say."""
    stored = config.settings.get("spec")
    return None if stored is None else read_spec(stored, f"{config.file} spec")
