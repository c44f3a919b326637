"""LeWorldModel (arXiv:2603.19312) from its released weights, encoder and predictor in one ``.pt``.

The released ``weights.pt`` is a plain dictionary of tensors. Its encoder is a ViT of
`transformers`, under the names of version 4 or 5. Nothing else of its folder is read: sizes follow
from shapes, and attention heads, which leave no trace in them, are 64 wide unless told.

What the weights do not hold is how actions were standardised: mean and deviation are those of the
data set that they were trained on, and have to be told.

Shapes: A action width; a block is what is done in one imagined step.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.lewm import LewmEncoder, LewmEncoderConfig
from worldmodel.errors import UserError
from worldmodel.nn.standardisation import ActionScaling
from worldmodel.predictors.lewm import LewmPredictor, LewmPredictorConfig, inverse_model
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.weights.fit import built
from worldmodel.weights.meta import holds_flat, read_state_dict
from worldmodel.weights.sizes import naming
from worldmodel.weights.tensor_file import some

__all__ = ["holds_lewm", "load_lewm"]

_FILE = "weights.pt"
_HEAD_WIDTH = 64
_COUNTERS = "num_batches_tracked"  # of batch norm, which has a momentum here
_MARK = "predictor.pos_embedding"

_LAYER_NAMES = {
    "attention.attention.query": "q",
    "attention.attention.key": "k",
    "attention.attention.value": "v",
    "attention.output.dense": "proj",
    "attention.q_proj": "q",
    "attention.k_proj": "k",
    "attention.v_proj": "v",
    "attention.o_proj": "proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
}
"""Of a layer of `transformers`' ViT, old and new, to ours; ``q``, ``k`` and ``v`` are joined."""
_BLOCK_NAMES = {
    "attn.norm": "attention_norm",
    "attn.to_qkv": "qkv",
    "attn.to_out.0": "proj.0",
    "mlp.net.0": "mlp.0",
    "mlp.net.1": "mlp.1",
    "mlp.net.4": "mlp.4",
    "adaLN_modulation.1": "modulation",
}
_LAYERS = (
    ("encoder", r"encoder\.(?:encoder\.layer|layers)\.([0-9]{1,3})\.(.+)", _LAYER_NAMES),
    ("predictor", r"predictor\.transformer\.layers\.([0-9]{1,3})\.(.+)", _BLOCK_NAMES),
)
_NAMES = {
    "encoder.embeddings.patch_embeddings.projection": ("encoder", "patches"),
    "encoder.layernorm": ("encoder", "norm"),
    **{f"projector.net.{n}": ("encoder", f"projector.{n}") for n in (0, 1, 3)},
    "predictor.transformer.norm": ("predictor", "norm"),
    "predictor.transformer.input_proj": ("predictor", "embed"),
    "predictor.transformer.cond_proj": ("predictor", "embed_action"),
    "predictor.transformer.output_proj": ("predictor", "unembed"),
    "action_encoder.patch_embed": ("predictor", "action_encoder.0"),
    "action_encoder.embed.0": ("predictor", "action_encoder.1"),
    "action_encoder.embed.2": ("predictor", "action_encoder.3"),
    **{f"pred_proj.net.{n}": ("predictor", f"projector.{n}") for n in (0, 1, 3)},
}
"""Of other layers: released name to part and name of ours."""
_WHOLE = {
    "encoder.embeddings.cls_token": ("encoder", "cls_token"),
    "encoder.embeddings.position_embeddings": ("encoder", "positions"),
    _MARK: ("predictor", "positions"),
}


def holds_lewm(source: str | os.PathLike[str]) -> bool:
    """Whether a source is of LeWorldModel."""
    path = _file(source)
    return path.is_file() and path.suffix in (".pt", ".ckpt") and holds_flat(path, _MARK)


def load_lewm(
    source: str | os.PathLike[str],
    *,
    encoder_heads: int | None = None,
    predictor_heads: int | None = None,
    action_block: int = 5,
    action_mean: Sequence[float] = (),
    action_std: Sequence[float] = (),
) -> LewmWorld:
    """The world of LeWorldModel, frozen.

    Args:
        source: Its ``weights.pt``, or the folder that holds it.
        encoder_heads: Attention heads of the encoder; by default 64 wide, as released.
        predictor_heads: Of the predictor, likewise.
        action_block: Control steps whose actions make a block.
        action_mean: Mean of the actions it was trained on, ``[A]``; () for zero.
        action_std: Their standard deviation, ``[A]``; () for one.

    Returns:
        A world: ``encode(frames uint8 [B, T, h, w, 3])`` and ``rollout``; without a spec, since
        nothing in the file says what its numbers mean.

    Raises:
        UserError: The source is damaged or holds something else, or sizes contradict each other.
    """
    path = _file(source)
    tensors = read_state_dict(path, _COUNTERS)
    if _MARK not in tensors:
        found = some(list(tensors), shown=3)
        raise UserError(
            f"{path}: expected weights of LeWorldModel, found no {_MARK} among its keys ({found})."
        )
    ours = _renamed(tensors, str(path))
    with naming(str(path)):
        sizes = _encoder_sizes(ours["encoder"], encoder_heads)
        config = _predictor_sizes(ours["predictor"], predictor_heads, action_block)
    ours["predictor"] |= _scaling(config, action_mean, action_std) | _untrained(config)
    return LewmWorld(
        FrozenEncoder(built(lambda: LewmEncoder(sizes), ours["encoder"], str(path))),
        built(lambda: LewmPredictor(config), ours["predictor"], str(path)),
    )


def _file(source: str | os.PathLike[str]) -> Path:
    path = Path(source)
    return path / _FILE if path.is_dir() else path


def _renamed(tensors: Mapping[str, Tensor], source: str) -> dict[str, dict[str, Tensor]]:
    """Tensors of encoder and predictor by our names.

    Raises:
        UserError: Some name is none of LeWorldModel's, or a part of it is missing.
    """
    ours: dict[str, dict[str, Tensor]] = {"encoder": {}, "predictor": {}}
    unknown: list[str] = []
    for name, tensor in tensors.items():
        found = _our_name(name)
        if found is None:
            unknown.append(name)
        else:
            ours[found[0]][found[1]] = tensor
    if unknown:
        raise UserError(
            f"{source}: expected weights of LeWorldModel, got also {some(unknown)}. Give its "
            "weights.pt as released."
        )
    encoder, predictor = ours["encoder"], ours["predictor"]
    for weight in ("patches.weight", "positions", "projector.0.weight", "projector.3.weight"):
        _require(encoder, weight, source)
    for weight in ("positions", "norm.weight", "action_encoder.0.weight", "projector.0.weight"):
        _require(predictor, weight, source)
    # A convolution over patches that do not overlap is a product, as is one over single moments.
    encoder["patches.weight"] = encoder["patches.weight"].flatten(1)
    predictor["action_encoder.0.weight"] = predictor["action_encoder.0.weight"].flatten(1)
    for layer in range(_depth(encoder)):
        for kind in ("weight", "bias"):
            parts = [f"blocks.{layer}.{part}.{kind}" for part in "qkv"]
            for part in parts:
                _require(encoder, part, source)
            encoder[f"blocks.{layer}.qkv.{kind}"] = torch.cat([encoder.pop(p) for p in parts])
    for weights in (encoder, predictor):  # a counter, which is left out and never read
        weights["projector.1.num_batches_tracked"] = torch.tensor(0)
    return ours


def _our_name(name: str) -> tuple[str, str] | None:
    """Part and name of a released name; None for a name that it has not."""
    stem, _, kind = name.rpartition(".")
    if name in _WHOLE:
        return _WHOLE[name]
    if stem in _NAMES:
        part, ours = _NAMES[stem]
        return part, f"{ours}.{kind}"
    for part, pattern, names in _LAYERS:
        if (found := re.fullmatch(pattern, stem)) and found[2] in names:
            return part, f"blocks.{found[1]}.{names[found[2]]}.{kind}"
    return None


def _require(tensors: Mapping[str, Tensor], name: str, source: str) -> None:
    if name not in tensors or not tensors[name].ndim:
        raise UserError(
            f"{source}: expected all weights of LeWorldModel, found none for our {name}. Download "
            "it again."
        )


def _depth(tensors: Mapping[str, Tensor]) -> int:
    """Blocks, by their names; one that is missing shows when the model is built."""
    return len({name.split(".")[1] for name in tensors if name.startswith("blocks.")})


def _encoder_sizes(tensors: Mapping[str, Tensor], heads: int | None) -> LewmEncoderConfig:
    width, pixels = tensors["patches.weight"].shape
    patch = isqrt(pixels // 3)
    hidden = tensors.get("blocks.0.mlp.fc1.weight", torch.empty(4 * width, 0))
    return LewmEncoderConfig(
        image_size=patch * isqrt(tensors["positions"].shape[1] - 1),
        patch_size=patch,
        width=width,
        depth=_depth(tensors),
        heads=heads or max(1, width // _HEAD_WIDTH),
        mlp_ratio=len(hidden) // width,
        latent_width=len(tensors["projector.3.weight"]),
        projection_width=len(tensors["projector.0.weight"]),
    )


def _predictor_sizes(
    tensors: Mapping[str, Tensor], heads: int | None, block: int
) -> LewmPredictorConfig:
    _, history, latent = tensors["positions"].shape
    width, numbers = len(tensors["norm.weight"]), tensors["action_encoder.0.weight"].shape[1]
    if numbers % block:
        raise UserError(
            f"Expected blocks of {block} actions of equal width, got {numbers} numbers a block; "
            "say action_block=…"
        )
    inner = len(tensors.get("blocks.0.qkv.weight", torch.empty(3 * _HEAD_WIDTH, 0))) // 3
    heads = heads or max(1, inner // _HEAD_WIDTH)
    return LewmPredictorConfig(
        latent_width=latent,
        action_width=numbers // block,
        stride=block,
        history=history,
        width=width,
        depth=_depth(tensors),
        heads=heads,
        head_width=inner // heads,
        mlp_width=len(tensors.get("blocks.0.mlp.1.weight", torch.empty(width, 0))),
        block_width=len(tensors["action_encoder.0.weight"]),
        projection_width=len(tensors["projector.0.weight"]),
    )


def _scaling(
    config: LewmPredictorConfig, mean: Sequence[float], std: Sequence[float]
) -> dict[str, Tensor]:
    """Statistics as the predictor keeps them.

    Raises:
        UserError: They are not of as many numbers as an action has.
    """
    width = config.action_width
    for key, given in (("action_mean", mean), ("action_std", std)):
        if len(given) not in (0, width):
            raise UserError(
                f"Expected {key} of {width} numbers, as an action has, got {len(given)}; "
                "say action_block=… if blocks have other lengths"
            )
    scaling = ActionScaling(width)
    if mean:
        scaling.rest.copy_(torch.tensor(mean))
    if std:
        scaling.scale.copy_(torch.tensor(std))
    features = config.states.features(config.state_width)
    return {f"scale_actions.{name}": value for name, value in scaling.state_dict().items()} | {
        f"state_features.{name}": value for name, value in features.state_dict().items()
    }


def _untrained(config: LewmPredictorConfig) -> dict[str, Tensor]:
    """An inverse model, which the released weights lack; the same one every time."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        fresh = inverse_model(config).state_dict()
    return {f"inverse.{name}": value for name, value in fresh.items()}
