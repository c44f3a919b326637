"""Released weights of V-JEPA 2, or an encoder of another library, as a checkpoint of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import MISSING
from pydantic.dataclasses import dataclass
from torch import nn

from worldmodel.errors import UserError, nearest
from worldmodel.settings import CHECKED, Count, Pixels
from worldmodel.weights.checkpoint import checkpoint_kind
from worldmodel.weights.encoder import save_encoder, save_masked_predictor
from worldmodel.weights.foreign import is_foreign, load_foreign
from worldmodel.weights.vjepa2 import (
    WEIGHTS,
    holds_vjepa2_ac,
    load_vjepa2,
    load_vjepa2_ac,
    load_vjepa2_masked_predictor,
)
from worldmodel.weights.world import save_world

__all__ = ["ImportConfig", "import_weights"]

_MODELS = ("auto", "encoder", "masked_predictor", "ac")


@dataclass(frozen=True, config=CHECKED)
class ImportConfig:
    """What to import, and where to.

    Attributes:
        source: One of Meta's .pt files, a folder of V-JEPA 2 in `transformers`' layout, or its name
            on the Hugging Face hub; another encoder as hf:NAME, hf:/folder or timm:NAME. May be
            written without ``source=``.
        out: Folder of the checkpoint.
        model: ``encoder``, ``masked_predictor``, or ``ac``, the world of V-JEPA 2-AC; ``auto`` for
            the world where the source holds one, and the encoder otherwise.
        weights: Which encoder of a .pt: ``encoder``, ``target_encoder`` or ``ema_encoder``.
        image_size: Side of the frames, pixels; what the source says, or 256.
        encoder_heads: Attention heads of the encoder; what the source says, or as released.
        predictor_heads: Attention heads of the predictor, likewise.
        use_extrinsics: Feed V-JEPA 2-AC the camera's pose, which the released one was not; null for
            what the source says, or not.
    """

    source: str = MISSING
    out: str = MISSING
    model: str = "auto"
    weights: str = WEIGHTS
    image_size: Pixels | None = None
    encoder_heads: Count | None = None
    predictor_heads: Count | None = None
    use_extrinsics: bool | None = None


def import_weights(config: ImportConfig) -> None:
    """Read, check, write and say what it was.

    Raises:
        UserError: The source is no such model, or would be overwritten.
    """
    if config.model not in _MODELS:
        raise UserError(f"unknown model '{config.model}'; {nearest(config.model, _MODELS)}")
    _check_out(config)
    if config.model == "auto" and not is_foreign(config.source):
        config = replace(config, model="ac" if holds_vjepa2_ac(config.source) else "encoder")
    if is_foreign(config.source):
        _import_foreign(config)
        return
    record = {"source": config.source, "weights": config.weights}
    model = _imported(config, record)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{config.out}: {config.model}, {parameters / 1e6:.1f} M parameters, "
        f"weights '{config.weights}' of {config.source}"
    )


def _import_foreign(config: ImportConfig) -> None:
    usual = ImportConfig(config.source, config.out, model="encoder")
    if replace(config, model="encoder") != usual or config.model not in ("auto", "encoder"):
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
    if config.model == "ac":
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
    if config.model == "masked_predictor":
        predictor = load_vjepa2_masked_predictor(
            source, weights=weights, image_size=size, heads=heads, encoder_heads=encoder_heads
        )
        save_masked_predictor(config.out, predictor, record)
        return predictor
    encoder = load_vjepa2(source, weights=weights, image_size=size, heads=encoder_heads)
    save_encoder(config.out, encoder, record)
    return encoder
