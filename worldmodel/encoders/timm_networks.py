"""Vision networks of `timm` (Wightman 2019) whose features are patch tokens, as of any ViT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from worldmodel.encoders.network_library import NetworkLibrary
from worldmodel.errors import UserError, nearest
from worldmodel.extras import required

__all__ = ["LIBRARY", "known_architecture"]


def known_architecture(name: object) -> str:
    """The name of a network in timm's registry, without a tag of weights.

    Raises:
        MissingExtraError: timm is not installed.
        UserError: There is none of this name.
    """
    timm = required("timm", extra="encoders")
    bare = str(name).partition(".")[0]
    # Other names would be looked for on the Hub, or in a folder.
    if not isinstance(name, str) or not bare.isidentifier() or not timm.is_model(bare):
        raise UserError(
            f"unknown network {name!r:.80} of timm; {nearest(bare, timm.list_models('*vit*'))}"
        )
    return bare


def _build(settings: Mapping[str, Any]) -> nn.Module:
    timm = required("timm", extra="encoders")
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
