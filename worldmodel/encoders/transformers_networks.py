"""Vision networks of `transformers`: DINOv2 and v3, SigLIP, CLIP, ViT, ViT-MAE, I-JEPA and more.

Any ``AutoModel`` whose last hidden state ends with the patches will do. Settings come from a file,
so keys by which `transformers` would load code or other weights are dropped or refused.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.encoders.network_library import NetworkLibrary
from worldmodel.errors import UserError
from worldmodel.extras import required

__all__ = [
    "LIBRARY",
    "configured",
    "patch_tokens",
    "settings_of",
    "tower_of",
    "without_pooling",
]

_MODEL_TYPE = "model_type"
_DROPPED = {
    *("architectures", "auto_map", "dtype", "name_or_path", "torch_dtype", "transformers_version"),
    *("attn_implementation", "experts_implementation", "quantization_config"),
}
"""Keys that say nothing of the numbers, or that make `transformers` fetch kernels or code."""
_REFUSED = ("backbone", "backbone_config", "use_pretrained_backbone", "use_timm_backbone")
"""Keys by which a network would be made of another one, from the Hub."""


def _harmless(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a ``config.json`` without the keys that load anything, at every depth.

    Raises:
        UserError: They describe a network around another one.
    """
    if found := [key for key in _REFUSED if settings.get(key)]:
        raise UserError(
            f"Expected settings of one vision network, got '{found[0]}', which loads another. Give "
            "the folder of that one; networks of timm come by timm:NAME."
        )
    kept = {k: v for k, v in settings.items() if k not in _DROPPED and not k.startswith("_")}
    return {k: _harmless(v) if isinstance(v, Mapping) else v for k, v in kept.items()}


def tower_of(config: Any) -> Any:
    """The config of the vision tower, where a network has one beside another for text."""
    return getattr(config, "vision_config", None) or config


def settings_of(config: Any) -> dict[str, Any]:
    """A config of `transformers` as settings that ``LIBRARY.build`` takes, all of them stated."""
    return _harmless(json.loads(config.to_json_string(use_diff=False)))


def without_pooling(network: nn.Module) -> nn.Module:
    """The network without what only pools its tokens, of which many files lack the weights."""
    if getattr(network, "use_head", False):  # SigLIP
        network.use_head, network.head = False, None  # type: ignore[assignment]
    if isinstance(getattr(network, "pooler", None), nn.Module):
        network.pooler = None  # type: ignore[assignment]
    return network


def patch_tokens(config: Any, image_size: int) -> int:
    """Patches of a square frame, by a config of `transformers`.

    Raises:
        UserError: It knows of no square patches.
    """
    patch = getattr(config, "patch_size", None)
    sides = {*patch} if isinstance(patch, list | tuple) else {patch}
    side = sides.pop()
    if sides or not isinstance(side, int) or not 0 < side <= image_size:
        raise UserError(
            f"Expected a vision network with square patches within {image_size} pixels, got "
            f"patch_size={patch!r:.60} of a '{config.model_type}'."
        )
    return (image_size // side) ** 2


def configured(settings: Mapping[str, Any]) -> Any:
    """The config object of settings.

    Raises:
        UserError: `transformers` knows no such network, or takes no such settings.
    """
    auto = required("transformers", extra="encoders")
    settings = _harmless(settings)
    kind = settings.pop(_MODEL_TYPE, None)
    if not isinstance(kind, str) or kind.startswith("timm") or kind not in auto.CONFIG_MAPPING:
        raise UserError(
            f"Expected the model_type of a vision network of transformers, got {kind!r:.60}. "
            "Networks of timm come by timm:NAME; others need a newer transformers."
        )
    try:
        config = auto.CONFIG_MAPPING[kind](**settings)
    except Exception as error:  # whatever a config raises of values that it does not know
        raise UserError(
            f"Expected settings of a '{kind}' of transformers, got some that it refuses "
            f"({' '.join(str(error).split())[:200]}). Use the version of it that wrote them."
        ) from error
    if hasattr(config, "mask_ratio"):  # ViT-MAE: every patch is seen
        config.mask_ratio = 0.0
    return config


def _build(settings: Mapping[str, Any]) -> nn.Module:
    config = configured(settings)
    try:
        auto = required("transformers", extra="encoders").AutoModel
        return without_pooling(auto.from_config(config, trust_remote_code=False))
    except Exception as error:  # likewise of sizes that do not fit together
        raise UserError(
            f"Expected a '{config.model_type}' that transformers can build, got "
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        ) from error


def _read(network: nn.Module, pixels: Tensor) -> Tensor:
    config: Any = network.config
    options: dict[str, Any] = {}
    if "noise" in inspect.signature(network.forward).parameters:  # ViT-MAE: nothing masked or moved
        patches = patch_tokens(config, pixels.shape[-1])
        options["noise"] = torch.arange(patches, device=pixels.device).expand(len(pixels), -1)
    if pixels.shape[-1] != config.image_size and _interpolates(network):
        options["interpolate_pos_encoding"] = True
    return network(pixel_values=pixels, **options).last_hidden_state


def _interpolates(network: nn.Module) -> bool:
    return "interpolate_pos_encoding" in inspect.signature(network.forward).parameters


LIBRARY = NetworkLibrary(_build, _read)
