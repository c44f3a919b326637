"""Vision networks of `timm` (Wightman 2019) whose features are patch tokens, as of any ViT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.encoders.network_library import NetworkLibrary
from worldmodel.errors import UserError, nearest
from worldmodel.extras import MissingExtraError, required

__all__ = ["LIBRARY", "known_architecture", "timm_library"]


def timm_library() -> Any:
    """The module.

    Raises:
        MissingExtraError: timm is not installed.
        UserError: It is, without a torchvision that fits torch.
    """
    try:
        return required("timm", extra="encoders")
    except MissingExtraError:
        raise
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"timm cannot be imported ({' '.join(str(error).split())[:200]}). It needs the "
            f"torchvision of torch {torch.__version__}, of the same build."
        ) from error


def known_architecture(name: object) -> str:
    """The name of a network in timm's registry, without a tag of weights.

    Raises:
        MissingExtraError: timm is not installed.
        UserError: There is none of this name.
    """
    timm = timm_library()
    bare = str(name).partition(".")[0]
    # Other names would be looked for on the Hub, or in a folder.
    if not isinstance(name, str) or not bare.isidentifier() or not timm.is_model(bare):
        raise UserError(
            f"unknown network {name!r:.80} of timm; {nearest(bare, timm.list_models('*vit*'))}"
        )
    return bare


def _build(settings: Mapping[str, Any]) -> nn.Module:
    timm = timm_library()
    name = known_architecture(settings.get("architecture"))
    options = settings.get("model_args", {})
    try:
        return timm.create_model(name, pretrained=False, **{**options, "num_classes": 0})
    except Exception as error:  # whatever a network raises of options that it does not know
        raise UserError(
            f"Expected a '{name}' that timm can build, got {type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error


def _read(network: Any, pixels: Tensor) -> Tensor:
    return network.forward_features(pixels)


LIBRARY = NetworkLibrary(_build, _read)
