"""Frozen encoders of other libraries: patch tokens of any network that a registry can build.

A kind names who builds the network and reads its tokens: `transformers`, `timm`, or a factory that
was registered in user code. Nothing else is ever imported, whatever a file says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from worldmodel.encoders import registered, timm_networks, transformers_networks
from worldmodel.encoders.frame_model import FrameModel
from worldmodel.encoders.network_library import NetworkLibrary
from worldmodel.encoders.preprocessing import Normalisation
from worldmodel.errors import UserError, nearest
from worldmodel.settings import CHECKED, Coordinate, Count, Pixels, Positive, Width

__all__ = ["ForeignConfig", "ForeignModel"]

_LIBRARIES: Mapping[str, NetworkLibrary] = {
    "transformers": transformers_networks.LIBRARY,
    "timm": timm_networks.LIBRARY,
    "registered": registered.LIBRARY,
}


@dataclass(frozen=True, config=CHECKED)
class ForeignConfig:
    """A network of another library, and its preprocessing, as its own files state it.

    Attributes:
        kind: ``transformers``, ``timm`` or ``registered``.
        name: Where it came from; changes nothing.
        config: What the library builds it of.
        image_size: Side of the square frames, pixels.
        tokens: Patches of a frame, a square number.
        width: Of a token, D.
        mean: Of red, green and blue, taken off.
        std: Likewise, divided by.
        white: The byte that counts as 1 before that; 1 where bytes are not rescaled.

    Raises:
        ValueError: There is no such kind.
    """

    kind: str
    name: str
    config: dict[str, Any]
    image_size: Pixels
    tokens: Count
    width: Width
    mean: tuple[Coordinate, Coordinate, Coordinate]
    std: tuple[Positive, Positive, Positive]
    white: Positive

    def __post_init__(self) -> None:
        if self.kind not in _LIBRARIES:
            raise ValueError(f"unknown kind '{self.kind:.60}'; {nearest(self.kind, _LIBRARIES)}")

    def network(self) -> nn.Module:
        """The network, with random weights.

        Raises:
            MissingExtraError: Its library is not installed.
            UserError: The library builds nothing of the kind.
        """
        return _LIBRARIES[self.kind].build(self.config)


class ForeignModel(FrameModel):
    """A network of another library as a frozen encoder holds it.

    CLS, register and other tokens before the patches are dropped.

    Args:
        config: What it is built of.
        network: The network, if it is built already.
    """

    preprocessing = "mean-std/layer-norm-v1"

    def __init__(self, config: ForeignConfig, network: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.normalisation = Normalisation(config.mean, config.std, config.white)
        self.network = config.network() if network is None else network
        self._read = _LIBRARIES[config.kind].read
        # A network without weights has to be somewhere, too.
        self.register_buffer("_here", torch.empty(0), persistent=False)

    @property
    def image_size(self) -> int:
        """Side of the square frames, pixels."""
        return self.config.image_size

    @property
    def tokens(self) -> int:
        """Patches of a frame."""
        return self.config.tokens

    @property
    def width(self) -> int:
        """Width of a token, D."""
        return self.config.width

    def frame_tokens(self, pixels: Tensor) -> Tensor:
        """Patch tokens ``[n, tokens, D]`` of normalised frames ``[n, 3, h, w]``."""
        return self._read(self.network, pixels)[:, -self.tokens :]

    def identity(self) -> dict[str, Any]:
        """Everything in its config but the name."""
        return {key: value for key, value in self.stored().items() if key != "name"}

    def stored(self) -> dict[str, Any]:
        """Its config."""
        return {name: getattr(self.config, name) for name in ForeignConfig.__annotations__}

    @torch.no_grad()
    def check(self) -> None:
        """Look at the tokens of one frame.

        Raises:
            UserError: They are not as many, or not as wide, as the config says.
        """
        size, wanted = self.image_size, (1, self.tokens, self.width)
        pixels = torch.zeros(1, 3, size, size)
        try:
            sequence = self._read(self.network, pixels)
        except Exception as error:  # whatever a network of somebody else raises
            raise UserError(
                f"{self.config.name}: expected tokens of frames of {size}x{size} pixels, got "
                f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            ) from error
        found = list(getattr(sequence, "shape", ()))
        if len(found) != 3 or found[1] < self.tokens or found[2] != self.width:
            raise UserError(
                f"{self.config.name}: expected patch tokens {list(wanted)}, after others perhaps, "
                f"got {found}. Take a model whose last output is a square grid of patch tokens."
            )
