"""Sizes of V-JEPA 2 models, read off their tensors; only the number of heads leaves no trace."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from torch import Tensor

from worldmodel.encoders.vision_transformer import EncoderConfig
from worldmodel.errors import UserError
from worldmodel.nn.standardisation import POSE_WIDTH
from worldmodel.predictors.masked import MaskedSizes
from worldmodel.predictors.tokens import TokenPredictorConfig
from worldmodel.settings import described
from worldmodel.weights.tensor_file import some

__all__ = [
    "ac_predictor_sizes",
    "check_heads",
    "encoder_sizes",
    "masked_predictor_sizes",
    "naming",
]

_HEAD_WIDTHS = {1280: 80}
"""By width of the encoder: ViT-H has wider heads than the other sizes."""
_HEAD_WIDTH = 64
_MASKED_HEAD_WIDTH = 32

_TRAINING_FRAMES = 8
"""Length of the clips that V-JEPA 2-AC was trained on, at four frames a second."""


def encoder_sizes(
    tensors: Mapping[str, Tensor], source: str, image_size: int, heads: int | None
) -> EncoderConfig:
    """Sizes of an encoder of V-JEPA 2 or 2.1.

    Args:
        tensors: Its weights.
        source: What to call them in errors.
        image_size: Side of the frames, pixels.
        heads: Attention heads; None for those of the released sizes: 64 channels each, and 80 for
            ViT-H.

    Raises:
        UserError: These are not the weights of such an encoder, or sizes contradict each other.
    """
    patches = _get(tensors, "patch_embed.proj.weight", source, "an encoder of V-JEPA 2")
    if patches.ndim != 5 or patches.shape[1] != 3 or patches.shape[3] != patches.shape[4]:
        raise UserError(
            f"{source}: expected patch_embed.proj.weight of shape [width,3,tubelet,patch,patch], "
            f"got {list(patches.shape)}. This is an encoder of another kind."
        )
    width, _, tubelet, patch, _ = patches.shape
    newer = any(name.startswith("norms_block.") for name in tensors)
    with naming(source):
        return EncoderConfig(
            image_size=image_size,
            patch_size=patch,
            tubelet=tubelet,
            width=width,
            depth=_depth(tensors, "blocks", source),
            heads=_heads(source, width, heads, _HEAD_WIDTHS.get(width, _HEAD_WIDTH)),
            mlp_ratio=_mlp_ratio(tensors, "blocks", width, source),
            tiled_rope=not newer,
            vjepa_2_1=newer,
        )


def ac_predictor_sizes(
    tensors: Mapping[str, Tensor],
    source: str,
    encoder: EncoderConfig,
    heads: int | None,
    extrinsics: bool,
) -> TokenPredictorConfig:
    """Sizes of the predictor of V-JEPA 2-AC; as `encoder_sizes`.

    Raises:
        UserError: These are not its weights, or it predicts latents of another width.
    """
    actions = _get(tensors, "action_encoder.weight", source, "the predictor of V-JEPA 2-AC")
    states = _get(tensors, "state_encoder.weight", source, "the predictor of V-JEPA 2-AC")
    for key, matrix in (("action_encoder.weight", actions), ("state_encoder.weight", states)):
        if matrix.ndim != 2:
            raise UserError(f"{source}: expected a matrix, got {list(matrix.shape)}: {key}")
    for key, found in (("action", actions), ("state", states)):
        if found.shape[-1] != POSE_WIDTH:
            raise UserError(
                f"{source}: expected {key}s of {POSE_WIDTH} numbers, poses as V-JEPA 2-AC has, "
                f"got {found.shape[-1]}; nothing in it imagines other {key}s, so train a world on "
                "them"
            )
    width = _predictor_width(tensors, source, encoder)
    with naming(source):
        return TokenPredictorConfig(
            tokens=encoder.grid**2,
            token_width=encoder.width,
            action_width=actions.shape[-1],
            state_width=states.shape[-1],
            width=width,
            depth=_depth(tensors, "predictor_blocks", source),
            heads=_heads(source, width, heads, _HEAD_WIDTH),
            mlp_ratio=_mlp_ratio(tensors, "predictor_blocks", width, source),
            context_frames=_TRAINING_FRAMES,
            residual=False,
            raw_inputs=True,
            tiled_rope=encoder.tiled_rope,
            extrinsics=extrinsics,
        )


def masked_predictor_sizes(
    tensors: Mapping[str, Tensor], source: str, encoder: EncoderConfig, heads: int | None
) -> MaskedSizes:
    """Sizes of a masked predictor, with heads of 32 channels by default; as `encoder_sizes`."""
    _get(tensors, "mask_tokens.0", source, "a masked predictor of V-JEPA 2")
    width = _predictor_width(tensors, source, encoder)
    with naming(source):
        return MaskedSizes(
            width=width,
            depth=_depth(tensors, "predictor_blocks", source),
            heads=_heads(source, width, heads, _MASKED_HEAD_WIDTH),
            mlp_ratio=_mlp_ratio(tensors, "predictor_blocks", width, source),
            mask_tokens=sum(name.startswith("mask_tokens.") for name in tensors),
        )


@contextmanager
def naming(source: str) -> Generator[None]:
    """Let errors of sizes say where those come from.

    Raises:
        UserError: In place of the configuration's own error.
    """
    try:
        yield
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{source}: {described(error)}.") from error


def _predictor_width(tensors: Mapping[str, Tensor], source: str, encoder: EncoderConfig) -> int:
    embed = _get(tensors, "predictor_embed.weight", source, "a predictor of V-JEPA 2")
    if embed.ndim != 2 or embed.shape[1] != encoder.width:
        raise UserError(
            f"{source}: expected predictor_embed.weight to take latents of width {encoder.width}, "
            f"as wide as the encoder's, got {list(embed.shape)}."
        )
    return embed.shape[0]


def _get(tensors: Mapping[str, Tensor], key: str, source: str, kind: str) -> Tensor:
    if key not in tensors:
        found = some(list(tensors), shown=3)
        raise UserError(f"{source}: expected {kind}, found no {key} among its keys ({found}).")
    return tensors[key]


def _depth(tensors: Mapping[str, Tensor], blocks: str, source: str) -> int:
    numbered = re.compile(rf"{blocks}\.([0-9]{{1,9}})\.")
    found = {int(match[1]) for name in tensors if (match := numbered.match(name))}
    if not found:
        raise UserError(f"{source}: expected transformer blocks, found no {blocks}.0.")
    if (depth := max(found) + 1) > len(tensors):  # or it would take long to list what is missing
        raise UserError(f"{source}: expected block after block, found {blocks}.{depth - 1}.")
    return depth


def _mlp_ratio(tensors: Mapping[str, Tensor], blocks: str, width: int, source: str) -> float:
    key = f"{blocks}.0.mlp.fc1.weight"
    hidden = _get(tensors, key, source, "transformer blocks")
    if hidden.ndim != 2:
        raise UserError(f"{source}: expected a matrix, got {list(hidden.shape)}: {key}")
    return hidden.shape[0] / width


def _heads(source: str, width: int, heads: int | None, head_width: int) -> int:
    if heads is None and width % head_width:
        raise UserError(
            f"{source}: a width of {width} is of no released size, and heads leave no trace in "
            "weights. Pass their number."
        )
    heads = width // head_width if heads is None else heads
    check_heads(source, width, heads)
    return heads


def check_heads(source: str, width: int, heads: int) -> None:
    """Raise a UserError where a width has no such heads: RoPE needs six even channels of each."""
    if heads < 1 or width % heads or width // heads % 2 or width // heads < 6:
        raise UserError(
            f"{source}: expected heads that divide a width of {width} into even parts of 6 or "
            f"more, got {heads}."
        )
