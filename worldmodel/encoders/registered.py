"""Frozen encoders of one's own: factories that `register_encoder` put into the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from worldmodel.encoders.network_library import NetworkLibrary
from worldmodel.errors import UserError
from worldmodel.registry import ENCODERS

__all__ = ["LIBRARY", "is_registered"]


def is_registered(name: str) -> bool:
    """Whether a factory, rather than sizes of the video transformer, has this name."""
    return name in ENCODERS.names() and ENCODERS.find(name).config is None


def _build(settings: Mapping[str, Any]) -> nn.Module:
    name = settings.get("factory")
    if not isinstance(name, str) or not is_registered(name):
        raise UserError(
            f"Expected the encoder {name!r:.60}, which no module has registered. Name its module: "
            "plugins=[…]."
        )
    network = ENCODERS.find(name).make()
    if not isinstance(network, nn.Module) or not isinstance(
        getattr(network, "image_size", None), int
    ):
        raise UserError(
            f"Expected encoder '{name}' to make a torch.nn.Module with a whole number image_size, "
            f"got {type(network).__name__}."
        )
    return network


def _read(network: nn.Module, pixels: Tensor) -> Tensor:
    return network(pixels)


LIBRARY = NetworkLibrary(_build, _read)
