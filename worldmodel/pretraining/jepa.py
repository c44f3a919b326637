"""Masked latent prediction of video, with an EMA target and anti-collapse terms.

After V-JEPA 2 (arXiv:2506.09985, section 2.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.encoders.preprocessing import to_clip
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.nn.blocks import normalise
from worldmodel.pretraining.clips import Clips, ClipSampler
from worldmodel.pretraining.masked_prediction import MaskedObjective, MaskedTraining
from worldmodel.pretraining.masks import BlockMasks, Mask
from worldmodel.settings import CHECKED, NonEmpty, ProperShare, Share

__all__ = ["JepaObjective", "JepaTraining"]


@dataclass(frozen=True, config=CHECKED)
class JepaTraining(MaskedTraining):
    """``training=vjepa``. With all three anti-collapse weights 0 it is plain V-JEPA.

    Attributes:
        hidden: Share of tokens hidden, one per group of clips.
        block_duration: Shortest share of the clip that a mask block spans.

    Raises:
        ValueError: The groups of masks do not divide ``batch``, or the predictor's heads its width.
    """

    hidden: NonEmpty[ProperShare] = (0.5, 0.7)
    block_duration: Share = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch % len(self.hidden):
            raise ValueError(
                f"Expected a batch that divides into {len(self.hidden)} mask groups, "
                f"got {self.batch}."
            )

    @property
    def mask_tokens(self) -> int:
        """One for every share of hidden tokens."""
        return len(self.hidden)

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


class JepaObjective(MaskedObjective):
    """Predicts blocks of space and time that are hidden from the encoder."""

    def __init__(self, encoder: VideoTransformer, config: JepaTraining) -> None:
        super().__init__(encoder, config)
        sizes = encoder.config
        shape = (config.clip_frames // sizes.tubelet, sizes.grid, sizes.grid)
        self._masks = [
            BlockMasks(shape, hidden, duration=config.block_duration) for hidden in config.hidden
        ]

    def losses(self, clips: Clips, rng: np.random.Generator) -> dict[str, Tensor]:
        """Prediction, variance and covariance, and SIGReg where it counts."""
        masks = [kind.sample(rng).to(clips.frames.device) for kind in self._masks]
        prediction, samples = self(clips.frames, masks)
        return self.terms(prediction, samples, rng)

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
        return torch.stack(errors).mean(), self.samples(clip)
