"""Masked latent prediction with an EMA target and anti-collapse terms (V-JEPA 2, section 2.1)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.encoders.preprocessing import to_clip
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.nn.blocks import normalise
from worldmodel.predictors.masked import MaskedPredictor, MaskedSizes
from worldmodel.pretraining.anticollapse import centre, covariance_loss, variance_loss
from worldmodel.pretraining.clips import Clips, ClipSampler
from worldmodel.pretraining.masks import BlockMasks, Mask
from worldmodel.pretraining.objective import Objective, PretrainingConfig
from worldmodel.pretraining.sigreg import sigreg_loss
from worldmodel.settings import (
    CHECKED,
    Count,
    Depth,
    NonEmpty,
    Positive,
    ProperShare,
    Share,
    Weight,
    Width,
)

__all__ = ["JepaObjective", "JepaTraining"]


@dataclass(frozen=True, config=CHECKED)
class JepaTraining(PretrainingConfig):
    """``training=vjepa``. With all three anti-collapse weights 0 it is plain V-JEPA.

    Attributes:
        hidden: Share of tokens hidden, one per group of clips.
        block_duration: Shortest share of the clip that a mask block spans.
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
        ValueError: The groups of masks do not divide ``batch``, or the predictor's heads its width.
    """

    hidden: NonEmpty[ProperShare] = (0.5, 0.7)
    block_duration: Share = 0.25
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
        if self.batch % len(self.hidden):
            raise ValueError(
                f"Expected a batch that divides into {len(self.hidden)} mask groups, "
                f"got {self.batch}."
            )

    @property
    def sizes(self) -> MaskedSizes:
        """Of the masked predictor."""
        return MaskedSizes(
            width=self.predictor_width,
            depth=self.predictor_depth,
            heads=self.predictor_heads,
            mask_tokens=len(self.hidden),
        )

    def check(self, encoder: EncoderConfig) -> None:
        """Refuse an encoder that cannot be trained so."""
        super().check(encoder)
        if self.clip_frames % encoder.tubelet:
            raise ValueError(
                f"Expected clip_frames to be a multiple of the tubelet ({encoder.tubelet}), "
                f"got {self.clip_frames}."
            )

    def objective(self, encoder: VideoTransformer, clips: ClipSampler) -> JepaObjective:
        """Masked prediction, whatever the clips."""
        return JepaObjective(encoder, self)


class JepaObjective(Objective):
    """Encoder, EMA target encoder and masked predictor.

    Deviates from V-JEPA 2 by the anti-collapse terms. They act on latents of *single frames*,
    doubled to fill the tubelet and layer-normed, because that is how the frozen encoder is used
    afterwards.
    """

    def __init__(self, encoder: VideoTransformer, config: JepaTraining) -> None:
        super().__init__()
        sizes = encoder.config
        config.check(sizes)
        self.encoder = encoder
        self.target = copy.deepcopy(encoder).requires_grad_(False)
        self.predictor = MaskedPredictor(sizes, config.sizes)
        self.weights = {
            "prediction": 1.0,
            "variance": config.variance_weight,
            "covariance": config.covariance_weight,
            "sigreg": config.sigreg_weight,
        }
        shape = (config.clip_frames // sizes.tubelet, sizes.grid, sizes.grid)
        self._masks = [
            BlockMasks(shape, hidden, duration=config.block_duration) for hidden in config.hidden
        ]
        self._config = config

    def losses(self, clips: Clips, rng: np.random.Generator) -> dict[str, Tensor]:
        """Prediction, variance and covariance, and SIGReg where it counts."""
        masks = [kind.sample(rng).to(clips.frames.device) for kind in self._masks]
        prediction, samples = self(clips.frames, masks)
        terms = {
            "prediction": prediction,
            "variance": variance_loss(samples, self._config.std_target),
            "covariance": covariance_loss(samples),
        }
        if self.weights["sigreg"]:
            terms["sigreg"] = sigreg_loss(samples / self._config.std_target, rng)
        return terms

    def forward(self, frames: Tensor, masks: Sequence[Mask]) -> tuple[Tensor, Tensor]:
        """Predict what masks hide.

        Args:
            frames: Clips ``uint8 [B, T, h, w, 3]``.
            masks: One layout per group; the batch is cut into that many equal groups.

        Returns:
            L1 error of the hidden latents, and centred latents of single frames ``[B * N, D]``.
        """
        clip = to_clip(frames)
        with torch.no_grad():
            targets = normalise(self.target(clip))
        groups = zip(clip.chunk(len(masks)), targets.chunk(len(masks)), masks, strict=True)
        errors: list[Tensor] = []
        for kind, (group, target, mask) in enumerate(groups):
            context = self.encoder(group, mask.context_ids)
            predicted = self.predictor(context, mask.context_ids, mask.target_ids, kind)
            errors.append((predicted - target[:, mask.target_ids]).abs().mean())
        doubled = clip[:, :, :1].expand(-1, -1, self.encoder.config.tubelet, -1, -1)
        return torch.stack(errors).mean(), centre(normalise(self.encoder(doubled)))

    def kept(self) -> VideoTransformer:
        """The target or the online encoder, as configured."""
        return self.target if self._config.keep_target else self.encoder

    def masked_predictor(self) -> MaskedPredictor:
        """The predictor of hidden latents."""
        return self.predictor

    def follow(self, progress: float) -> None:
        """Move the target towards the encoder by the momentum of this moment."""
        first, last = self._config.momentum
        self.update_target(first + (last - first) * progress)

    @torch.no_grad()
    def update_target(self, momentum: float) -> None:
        """Move the target towards the encoder: ``target = m * target + (1 - m) * encoder``."""
        target: list[Tensor] = list(self.target.parameters())
        online: list[Tensor] = list(self.encoder.parameters())
        torch._foreach_lerp_(target, online, 1 - momentum)
