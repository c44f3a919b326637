"""V-JEPA 2, 2.1 and 2-AC (arXiv:2506.09985) from released weights, whatever form they come in.

A source is one of Meta's ``.pt`` files, a folder in `transformers`' layout, the name of such a
folder on the Hugging Face hub, or a checkpoint that ``worldmodel import`` wrote. Tensors are mapped
from their file, never copied: a model takes the memory of its weights once. A key that is missing,
left over or of another shape is an error, but for a few that are known to mean nothing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import VideoTransformer
from worldmodel.errors import UserError, nearest
from worldmodel.files.json_file import read_json
from worldmodel.nn.standardisation import ActionScaling
from worldmodel.predictors.masked import MaskedPredictor
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor
from worldmodel.weights.checkpoint import checkpoint_kind, checkpoint_record
from worldmodel.weights.encoder import load_masked_predictor, load_video_transformer
from worldmodel.weights.fit import built
from worldmodel.weights.huggingface import HuggingFaceFolder, download
from worldmodel.weights.meta import ENCODER_WEIGHTS, holds, read_pt
from worldmodel.weights.sizes import (
    ac_predictor_sizes,
    encoder_sizes,
    masked_predictor_sizes,
)
from worldmodel.weights.world import TOKEN_WORLD, load_token_world

__all__ = [
    "WEIGHTS",
    "holds_vjepa2_ac",
    "load_vjepa2",
    "load_vjepa2_ac",
    "load_vjepa2_masked_predictor",
]

Source = str | os.PathLike[str]

WEIGHTS = "target_encoder"
"""The moving average, which is what the papers evaluate."""

_IMAGE_SIZE = 256

_UNUSED = ("pos_embed", "predictor_pos_embed")
"""Stored beside some weights and never read, because positions are rotary."""

_EXTRINSICS = ("extrinsics_encoder.weight", "extrinsics_encoder.bias")


def load_vjepa2(
    path: Source,
    *,
    weights: str = WEIGHTS,
    image_size: int | None = None,
    heads: int | None = None,
) -> VideoTransformer:
    """An encoder of V-JEPA 2 or 2.1, frozen.

    Args:
        path: The source.
        weights: Which set of a ``.pt``: ``encoder``, ``target_encoder`` or ``ema_encoder``. Other
            sources hold one set only.
        image_size: Side of its frames, pixels; by default what the source says, or 256.
        heads: Attention heads; by default what the source says, or those of the released sizes.

    Returns:
        ``encoder(clip [B,3,T,H,W], token_ids=None) -> [B,tokens,D]``, float32; other frames than
        of ``image_size`` are welcome.

    Raises:
        UserError: The source is damaged or holds something else, or sizes contradict each other.
    """
    path = _found(path)
    if path.is_file():
        _check_weights(weights)
        source = f"{path}['{weights}']"
        tensors = read_pt(path, weights)
        config = encoder_sizes(
            tensors, source, _IMAGE_SIZE if image_size is None else image_size, heads
        )
        return built(lambda: VideoTransformer(config), tensors, source, _UNUSED)
    _check_choice(path, weights)
    if _is_own(path):
        encoder = load_video_transformer(path)
        config = encoder.config
        _check_stored(path, image_size=(image_size, config.image_size), heads=(heads, config.heads))
        return encoder
    return HuggingFaceFolder.open(path).encoder(image_size, heads)


def load_vjepa2_masked_predictor(
    path: Source,
    *,
    weights: str = WEIGHTS,
    image_size: int | None = None,
    heads: int | None = None,
    encoder_heads: int | None = None,
) -> MaskedPredictor:
    """The predictor that V-JEPA 2 was pretrained with, frozen; arguments as of `load_vjepa2`.

    Args:
        path: The source.
        weights: The encoder whose latents it predicts, which tells their width.
        image_size: Side of the frames, pixels.
        heads: Its attention heads; by default of 32 channels, as released.
        encoder_heads: The encoder's.

    Raises:
        UserError: As `load_vjepa2`.
    """
    path = _found(path)
    if path.is_file():
        _check_weights(weights)
        source = f"{path}['predictor']"
        tensors, encoder_tensors = read_pt(path, "predictor"), read_pt(path, weights)
        encoder = encoder_sizes(
            encoder_tensors,
            f"{path}['{weights}']",
            _IMAGE_SIZE if image_size is None else image_size,
            encoder_heads,
        )
        sizes = masked_predictor_sizes(tensors, source, encoder, heads)
    elif _is_own(path):
        _check_choice(path, weights)
        predictor = load_masked_predictor(path).eval().requires_grad_(False)
        stored = predictor.encoder_sizes
        _check_stored(
            path,
            image_size=(image_size, stored.image_size),
            heads=(heads, predictor.sizes.heads),
            encoder_heads=(encoder_heads, stored.heads),
        )
        return predictor
    else:
        _check_choice(path, weights)
        folder, source = HuggingFaceFolder.open(path), str(path)
        encoder = folder.encoder_sizes(image_size, encoder_heads)
        sizes = folder.predictor_sizes(heads)
        tensors = folder.tensors("predictor")

    def build() -> MaskedPredictor:
        return MaskedPredictor(encoder, sizes)

    return built(build, tensors, source, _UNUSED)


def load_vjepa2_ac(
    path: Source,
    *,
    weights: str = WEIGHTS,
    image_size: int | None = None,
    encoder_heads: int | None = None,
    predictor_heads: int | None = None,
    use_extrinsics: bool | None = None,
) -> TokenWorld:
    """The world model of V-JEPA 2-AC: its encoder and its action-conditioned predictor, frozen.

    Args:
        path: A ``.pt``, or what ``worldmodel import`` made of it.
        weights: Which encoder of the file; they are equal in the released one.
        image_size: Side of the frames, pixels; by default what the source says, or 256.
        encoder_heads: As for `load_vjepa2`.
        predictor_heads: Likewise.
        use_extrinsics: Feed the camera's pose. The file always holds weights for it, which the
            released model was trained without: by default it does not.

    Returns:
        A world: ``encode(frames uint8 [B,T,h,w,3])``, ``predictor(latents [B,T,N,D],
        actions [B,T,7], states [B,T,7], extrinsics=None)`` before normalisation, and ``rollout``.

    Raises:
        UserError: As `load_vjepa2`.
    """
    path = _found(path)
    if _is_own(path):
        _check_choice(path, weights)
        world = load_token_world(path)
        model, stored = world.encoder.model, world.predictor.config
        if not isinstance(model, VideoTransformer):
            raise UserError(f"{path}: expected a world of V-JEPA 2-AC, got another encoder in it.")
        encoder_config = model.config
        _check_stored(
            path,
            image_size=(image_size, encoder_config.image_size),
            encoder_heads=(encoder_heads, encoder_config.heads),
            predictor_heads=(predictor_heads, stored.heads),
            use_extrinsics=(use_extrinsics, stored.extrinsics),
        )
        return world
    if not path.is_file():
        raise UserError(f"{path}: expected a .pt file of V-JEPA 2-AC or an imported checkpoint.")
    encoder = load_vjepa2(path, weights=weights, image_size=image_size, heads=encoder_heads)
    source, extrinsics = f"{path}['predictor']", bool(use_extrinsics)
    tensors = read_pt(path, "predictor")
    config = ac_predictor_sizes(tensors, source, encoder.config, predictor_heads, extrinsics)
    # The released model takes actions and states as they are.
    for name, scaling in (
        ("scale_actions", ActionScaling(config.action_width)),
        ("state_features", config.states.features(config.state_width)),
    ):
        tensors |= {f"{name}.{key}": value for key, value in scaling.state_dict().items()}
    unused = _UNUSED if extrinsics else (*_UNUSED, *_EXTRINSICS)
    predictor = built(lambda: TokenPredictor(config), tensors, source, unused)
    return TokenWorld(FrozenEncoder(encoder), predictor)


def holds_vjepa2_ac(path: Source) -> bool:
    """Whether a source is of V-JEPA 2-AC, rather than of an encoder alone."""
    path = Path(path)
    if path.is_file():
        return holds(path, "predictor", "action_encoder.weight")
    return _is_own(path) and checkpoint_kind(path) == TOKEN_WORLD


def _found(path: Source) -> Path:
    """The path of a source, fetched from the hub if it is a name there."""
    if Path(path).exists():
        return Path(path)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(path)) and not str(path).endswith(".pt"):
        return download(str(path))
    raise UserError(f"{path} does not exist. Give a .pt file, or a folder with a config.json.")


def _is_own(path: Path) -> bool:
    if not path.is_dir():
        return False
    remedy = "Give a .pt file, or a folder with a config.json."
    return "format_version" in read_json(path / "config.json", remedy, unmeasured=("record",))


def _check_weights(weights: str) -> None:
    if weights not in ENCODER_WEIGHTS:
        raise UserError(f"unknown weights '{weights}'; {nearest(weights, ENCODER_WEIGHTS)}")


def _check_choice(path: Path, weights: str) -> None:
    """A folder holds one set of weights; another is not taken for it."""
    _check_weights(weights)
    held = checkpoint_record(path).get("weights", WEIGHTS) if _is_own(path) else WEIGHTS
    if weights != held:
        raise UserError(
            f"{path} holds the weights '{held}' only, expected '{weights}'. Ask for "
            f"weights={held}, or import the others from where they are."
        )


def _check_stored(path: Path, **values: tuple[int | None, int]) -> None:
    for name, (asked, stored) in values.items():
        if asked not in (None, stored):
            raise UserError(
                f"{path} was saved with {name}={stored}, expected {asked}. Import it again."
            )
