"""What worlds of any kind have in common: an encoder and a predictor, both frozen, and a spec."""

from __future__ import annotations

from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.predictors.familiarity import Familiarity
from worldmodel.spec import Spec

__all__ = ["FrozenWorld"]


class _Predictor(Protocol):
    """What all predictors have."""

    config: Any

    def imagine_in(self, dtype: torch.dtype) -> None: ...
    def eval(self) -> Self: ...
    def requires_grad_(self, requires_grad: bool = True) -> Self: ...


_PredictorT = TypeVar("_PredictorT", bound=_Predictor)


class FrozenWorld(nn.Module, Generic[_PredictorT]):
    """An encoder and a predictor; what is left of ``planners.protocols.World`` is ``rollout``.

    Args:
        encoder: Of the camera's frames.
        predictor: Of the latents that follow; it is frozen by now.
        spec: What actions, states and cameras mean; None where nobody said.

    Attributes:
        checkpoint: Where it was read from, for reports.
        familiarity: What says how unlike training frames others are.
    """

    checkpoint: str | None = None
    predictor: _PredictorT

    def __init__(
        self, encoder: FrozenEncoder, predictor: _PredictorT, spec: Spec | None = None
    ) -> None:
        super().__init__()
        self.encoder, self.spec = encoder, spec
        self.predictor = predictor.eval().requires_grad_(False)
        self.familiarity = Familiarity(encoder.width)

    @property
    def image_size(self) -> int:
        """Side of the frames it was trained on, in pixels."""
        return self.encoder.image_size

    @property
    def action_width(self) -> int:
        """A, numbers of an action."""
        width: int = self.predictor.config.action_width
        return width

    def imagine_in(self, dtype: torch.dtype) -> Self:
        """Itself, imagining in another precision: half of it ranks candidates nearly the same."""
        self.predictor.imagine_in(dtype)
        return self

    def encode(self, frames: Tensor) -> Tensor:
        """Latents ``[B, T, N, D]`` of ``uint8`` frames ``[B, T, h, w, 3]``."""
        return self.encoder.encode(frames)

    def strangeness(self, latents: Tensor) -> Tensor:
        """How unlike training frames encoded frames ``[..., N, D]`` are, ``[...]``; 1 is much."""
        return self.familiarity(latents)

    def project(self, latents: Tensor, reference: Tensor) -> Tensor:
        """What is planned on: here the latents as they are, whatever the ``reference``."""
        return latents
