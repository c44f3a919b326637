"""What masked latent prediction shares, of video and of images: target, predictor, anti-collapse.

An encoder sees a part of its tokens. A narrow predictor guesses the latents that the target, which
is a moving average of the encoder, has of the others (I-JEPA, arXiv:2301.08243, section 3).
"""

from __future__ import annotations

import copy
from abc import abstractmethod

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.encoders.vision_transformer import VideoTransformer
from worldmodel.nn.blocks import normalise
from worldmodel.predictors.masked import MaskedPredictor, MaskedSizes
from worldmodel.pretraining.anticollapse import centre, covariance_loss, variance_loss
from worldmodel.pretraining.objective import Objective, PretrainingConfig
from worldmodel.pretraining.sigreg import sigreg_loss
from worldmodel.settings import CHECKED, Count, Depth, Positive, Share, Weight, Width

__all__ = ["MaskedObjective", "MaskedTraining"]


@dataclass(frozen=True, config=CHECKED)
class MaskedTraining(PretrainingConfig):
    """Settings of every masked prediction.

    Attributes:
        predictor_width: Width of the masked predictor.
        predictor_depth: Its blocks.
        predictor_heads: Its attention heads.
        momentum: Of the target encoder, at the start and at the end.
        std_target: Standard deviation between scenes that every feature should reach.
        variance_weight: Weight of the variance term.
        covariance_weight: Weight of the covariance term.
        sigreg_weight: Weight of SIGReg, on features in units of ``std_target``.
        keep_target: Keep the EMA target's weights rather than the online encoder's.

    Raises:
        ValueError: The predictor's heads do not divide its width.
    """

    predictor_width: Width = 96
    predictor_depth: Depth = 2
    predictor_heads: Count = 3
    momentum: tuple[Share, Share] = (0.99, 0.999)
    std_target: Positive = 0.5
    variance_weight: Weight = 1.0
    covariance_weight: Weight = 0.04
    sigreg_weight: Weight = 0.0
    keep_target: bool = True

    def __post_init__(self) -> None:
        _ = self.sizes  # or it raises

    @property
    def sizes(self) -> MaskedSizes:
        """Of the masked predictor."""
        return MaskedSizes(
            width=self.predictor_width,
            depth=self.predictor_depth,
            heads=self.predictor_heads,
            mask_tokens=self.mask_tokens,
        )

    @property
    @abstractmethod
    def mask_tokens(self) -> int:
        """Kinds of masks, each with a mask token of its own."""


class MaskedObjective(Objective):
    """Encoder, EMA target encoder and masked predictor.

    Deviates from V-JEPA 2 and I-JEPA by the anti-collapse terms. They act on latents of *single
    frames*, doubled to fill the tubelet and layer-normed, because that is how the frozen encoder is
    used afterwards.
    """

    def __init__(self, encoder: VideoTransformer, config: MaskedTraining) -> None:
        super().__init__()
        config.check(encoder.config)
        self.encoder = encoder
        self.target = copy.deepcopy(encoder).requires_grad_(False)
        self.predictor = MaskedPredictor(encoder.config, config.sizes)
        self.weights = {
            "prediction": 1.0,
            "variance": config.variance_weight,
            "covariance": config.covariance_weight,
            "sigreg": config.sigreg_weight,
        }
        self._settings = config

    def terms(
        self, prediction: Tensor, samples: Tensor, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Prediction, variance and covariance, and SIGReg where it counts.

        Args:
            prediction: Error of the predicted latents, a scalar.
            samples: Centred latents of single frames ``[M, D]``.
            rng: Decides SIGReg's directions.
        """
        terms = {
            "prediction": prediction,
            "variance": variance_loss(samples, self._settings.std_target),
            "covariance": covariance_loss(samples),
        }
        if self.weights["sigreg"]:
            terms["sigreg"] = sigreg_loss(samples / self._settings.std_target, rng)
        return terms

    def doubled(self, clip: Tensor) -> Tensor:
        """The first frames of clips ``[B, 3, T, h, w]``, each of them filling a tubelet."""
        return clip[:, :, :1].expand(-1, -1, self.encoder.config.tubelet, -1, -1)

    def samples(self, clip: Tensor) -> Tensor:
        """Centred latents ``[B * N, D]`` of the first frames of clips ``[B, 3, T, h, w]``."""
        return centre(normalise(self.encoder(self.doubled(clip))))

    def kept(self) -> VideoTransformer:
        """The target or the online encoder, as configured."""
        return self.target if self._settings.keep_target else self.encoder

    def masked_predictor(self) -> MaskedPredictor:
        """The predictor of hidden latents."""
        return self.predictor

    def follow(self, progress: float) -> None:
        """Move the target towards the encoder by the momentum of this moment."""
        first, last = self._settings.momentum
        self.update_target(first + (last - first) * progress)

    @torch.no_grad()
    def update_target(self, momentum: float) -> None:
        """Move the target towards the encoder: ``target = m * target + (1 - m) * encoder``."""
        target: list[Tensor] = list(self.target.parameters())
        online: list[Tensor] = list(self.encoder.parameters())
        torch._foreach_lerp_(target, online, 1 - momentum)
