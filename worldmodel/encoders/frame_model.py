"""The seam between a frozen encoder and the network inside: single frames in, patch tokens out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.encoders.preprocessing import Normalisation

__all__ = ["FrameModel"]


class FrameModel(nn.Module, ABC):
    """A network that `FrozenEncoder` can hold: the video transformer, or one of another library.

    Not layer-normed and not frozen: both are the frozen encoder's.

    Attributes:
        preprocessing: Names what happens around the weights; part of every fingerprint.
        normalisation: From bytes to the numbers that the network was trained on.
        layer_normed: Whether the frozen encoder layer-norms its latents. LeWorldModel's are shaped
            by their own training, and stay as they are.
        replayable: Whether it may be captured as a CUDA graph.
    """

    preprocessing: str
    normalisation: Normalisation
    layer_normed: bool = True
    replayable: bool = False

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Side of the square frames, pixels."""

    @property
    @abstractmethod
    def tokens(self) -> int:
        """Patch tokens per frame, a square number."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Width of a token, D."""

    @abstractmethod
    def frame_tokens(self, pixels: Tensor) -> Tensor:
        """Patch tokens ``[n, tokens, D]`` of normalised frames ``[n, 3, h, w]``, row by row."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """All but weights that decides what it computes; JSON-serialisable."""

    @abstractmethod
    def stored(self) -> dict[str, Any]:
        """What a checkpoint keeps to build it again; JSON-serialisable."""

    def anywhere(self) -> Tensor:
        """Some tensor of floating-point numbers in it, which tells device and precision."""
        tensors = chain(self.parameters(), self.buffers())
        return next((x for x in tensors if x.is_floating_point()), torch.empty(0))
