"""Released weights of V-JEPA 2, LeWorldModel or another library, as a checkpoint of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import MISSING
from pydantic.dataclasses import dataclass
from torch import nn

from worldmodel.errors import UserError, nearest
from worldmodel.settings import CHECKED, Coordinate, Count, Pixels, Positive
from worldmodel.weights.checkpoint import checkpoint_kind
from worldmodel.weights.encoder import save_encoder, save_masked_predictor
from worldmodel.weights.foreign import is_foreign, load_foreign
from worldmodel.weights.lewm import holds_lewm, load_lewm
from worldmodel.weights.vjepa2 import (
    WEIGHTS,
    holds_vjepa2_ac,
    load_vjepa2,
    load_vjepa2_ac,
    load_vjepa2_masked_predictor,
)
from worldmodel.weights.world import save_world

__all__ = ["ImportConfig", "import_weights"]

_KINDS = ("auto", "encoder", "masked_predictor", "ac", "lewm")
_OF_LEWM = ("action_block", "action_mean", "action_std")


@dataclass(frozen=True, config=CHECKED)
class ImportConfig:
    """What to import, and where to.

    Attributes:
        source: One of Meta's .pt files, a folder of V-JEPA 2 in `transformers`' layout, or its name
            on the Hugging Face hub; LeWorldModel's weights.pt or its folder; another encoder as
            hf:NAME, hf:/folder or timm:NAME. May be written without ``source=``.
        out: Folder of the checkpoint.
        kind: ``encoder``, ``masked_predictor``, or a world: ``ac`` of V-JEPA 2-AC, ``lewm`` of
            LeWorldModel; ``auto`` for the world where the source holds one, and the encoder
            otherwise.
        weights: Which encoder of a .pt: ``encoder``, ``target_encoder`` or ``ema_encoder``.
        image_size: Side of the frames, pixels; what the source says, or 256.
        encoder_heads: Attention heads of the encoder; what the source says, or as released.
        predictor_heads: Attention heads of the predictor, likewise.
        use_extrinsics: Feed V-JEPA 2-AC the camera's pose, which the released one was not; null for
            what the source says, or not.
        action_block: Control steps that make an imagined step of LeWorldModel.
        action_mean: Of the actions that LeWorldModel was trained on, which its file does not say;
            () for zero.
        action_std: Their standard deviation; () for one.
    """

    source: str = MISSING
    out: str = MISSING
    kind: str = "auto"
    weights: str = WEIGHTS
    image_size: Pixels | None = None
    encoder_heads: Count | None = None
    predictor_heads: Count | None = None
    use_extrinsics: bool | None = None
    action_block: Count = 5
    action_mean: tuple[Coordinate, ...] = ()
    action_std: tuple[Positive, ...] = ()


def import_weights(config: ImportConfig) -> None:
    """Read, check, write and say what it was.

    Raises:
        UserError: The source is no such model, or would be overwritten.
    """
    if config.kind not in _KINDS:
        raise UserError(f"unknown kind '{config.kind}'; {nearest(config.kind, _KINDS)}")
    _check_out(config)
    if config.kind == "auto" and not is_foreign(config.source):
        config = replace(config, kind=_kind_in(config.source))
    if is_foreign(config.source):
        _import_foreign(config)
        return
    if config.kind == "lewm":
        _import_lewm(config)
        return
    _refuse(config, _OF_LEWM, "which are of LeWorldModel")
    record = {"source": config.source, "weights": config.weights}
    model = _imported(config, record)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{config.out}: {config.kind}, {parameters / 1e6:.1f} M parameters, "
        f"weights '{config.weights}' of {config.source}"
    )


def _kind_in(source: str) -> str:
    if holds_lewm(source):
        return "lewm"
    return "ac" if holds_vjepa2_ac(source) else "encoder"


def _refuse(config: ImportConfig, keys: Sequence[str], why: str) -> None:
    """Raise a UserError where a key was set that would not be followed."""
    usual = ImportConfig()
    if wrong := [key for key in keys if getattr(config, key) != getattr(usual, key)]:
        raise UserError(
            f"Expected no {', '.join(wrong)} for kind={config.kind}, {why}; leave it out"
        )


def _import_lewm(config: ImportConfig) -> None:
    _refuse(config, ("weights", "image_size", "use_extrinsics"), "whose file states it")
    world = load_lewm(
        config.source,
        encoder_heads=config.encoder_heads,
        predictor_heads=config.predictor_heads,
        action_block=config.action_block,
        action_mean=config.action_mean,
        action_std=config.action_std,
    )
    record = {key: getattr(config, key) for key in ("source", *_OF_LEWM)}
    save_world(config.out, world, record)
    parameters = sum(parameter.numel() for parameter in world.parameters())
    sizes = world.predictor.config
    print(
        f"{config.out}: lewm, {parameters / 1e6:.1f} M parameters, one latent of "
        f"{sizes.latent_width} of frames of {world.image_size} x {world.image_size}, blocks of "
        f"{sizes.stride} actions of {sizes.action_width}, from {config.source}"
    )
    if not config.action_std:
        print("actions are taken as they are; say action_mean=[…] action_std=[…] of its data")


def _import_foreign(config: ImportConfig) -> None:
    usual = ImportConfig(config.source, config.out, kind="encoder")
    if replace(config, kind="encoder") != usual or config.kind not in ("auto", "encoder"):
        raise UserError(
            f"Expected only source and out for {config.source}, whose files state all else; leave "
            "the other keys out."
        )
    encoder = load_foreign(config.source)
    save_encoder(config.out, encoder.model, {"source": config.source})
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    print(
        f"{config.out}: encoder, {parameters / 1e6:.1f} M parameters, {encoder.tokens} tokens of "
        f"{encoder.width} of frames of {encoder.image_size} x {encoder.image_size}, "
        f"from {config.source}"
    )


def _check_out(config: ImportConfig) -> None:
    """Raise a UserError where something else than a checkpoint of ours would be overwritten."""
    out = Path(config.out)
    if not config.out or out.resolve() == Path(config.source).resolve():
        raise UserError(f"Expected out='{config.out}' to be another folder than the source.")
    if (out / "config.json").exists():
        try:
            checkpoint_kind(out)
        except UserError as error:
            raise UserError(
                f"Expected out={out} to be new or a checkpoint of this toolkit, got a folder with "
                "another config.json; choose another."
            ) from error


def _imported(config: ImportConfig, record: dict[str, Any]) -> nn.Module:
    source, weights, size = config.source, config.weights, config.image_size
    heads, encoder_heads = config.predictor_heads, config.encoder_heads
    if config.kind == "ac":
        world = load_vjepa2_ac(
            source,
            weights=weights,
            image_size=size,
            encoder_heads=encoder_heads,
            predictor_heads=heads,
            use_extrinsics=config.use_extrinsics,
        )
        save_world(config.out, world, record)
        return world
    if config.kind == "masked_predictor":
        predictor = load_vjepa2_masked_predictor(
            source, weights=weights, image_size=size, heads=heads, encoder_heads=encoder_heads
        )
        save_masked_predictor(config.out, predictor, record)
        return predictor
    encoder = load_vjepa2(source, weights=weights, image_size=size, heads=encoder_heads)
    save_encoder(config.out, encoder, record)
    return encoder
