"""Masked latent prediction with an EMA target and anti-collapse terms: one training step's loss."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from worldmodel.encoders.preprocessing import to_clip
from worldmodel.encoders.vision_transformer import VideoTransformer
from worldmodel.nn.blocks import normalise
from worldmodel.pretraining.anticollapse import centre, covariance_loss, variance_loss
from worldmodel.pretraining.masked_predictor import MaskedPredictor
from worldmodel.pretraining.masks import Mask

__all__ = ["JepaLosses", "JepaObjective"]


class JepaLosses(NamedTuple):
    """Scalars: L1 of the predicted latents, and the two terms that keep latents spread out."""

    prediction: Tensor
    variance: Tensor
    covariance: Tensor


class JepaObjective(nn.Module):
    """Encoder, EMA target encoder and masked predictor (V-JEPA 2, section 2.1).

    Deviates from V-JEPA 2 by the variance and covariance terms. They act on latents of *single
    frames*, doubled to fill the tubelet and layer-normed, because that is how the frozen encoder
    is used afterwards.
    """

    def __init__(
        self, encoder: VideoTransformer, predictor: MaskedPredictor, *, std_target: float = 1.0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.target = copy.deepcopy(encoder).requires_grad_(False)
        self.predictor = predictor
        self._std_target = std_target

    def forward(self, frames: Tensor, masks: Sequence[Mask]) -> JepaLosses:
        """Losses of a batch.

        Args:
            frames: Clips ``uint8 [B, T, h, w, 3]``.
            masks: One layout per group; the batch is cut into that many equal groups.
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
        samples = centre(normalise(self.encoder(self._doubled_first_frames(clip))))
        return JepaLosses(
            torch.stack(errors).mean(),
            variance_loss(samples, self._std_target),
            covariance_loss(samples),
        )

    @torch.no_grad()
    def update_target(self, momentum: float) -> None:
        """Move the target towards the encoder: ``target = m * target + (1 - m) * encoder``."""
        target: list[Tensor] = list(self.target.parameters())
        online: list[Tensor] = list(self.encoder.parameters())
        torch._foreach_lerp_(target, online, 1 - momentum)

    def _doubled_first_frames(self, clip: Tensor) -> Tensor:
        return clip[:, :, :1].expand(-1, -1, self.encoder.config.tubelet, -1, -1)
