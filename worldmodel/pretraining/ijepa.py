"""Masked latent prediction of single images, block by block.

After I-JEPA (arXiv:2301.08243, section 3; the smooth L1 loss is that of its released code). It
deviates by the anti-collapse terms of `MaskedObjective`, and by a frame that is doubled to fill a
tubelet, as the frozen encoder has it.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.encoders.preprocessing import to_clip
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.nn.blocks import normalise
from worldmodel.pretraining.clips import Clips, ClipSampler
from worldmodel.pretraining.image_masks import Blocks, ImageMask, ImageMasks
from worldmodel.pretraining.masked_prediction import MaskedObjective, MaskedTraining
from worldmodel.settings import CHECKED, Batch, Frames, Positive, Share

__all__ = ["IjepaObjective", "IjepaTraining"]


@dataclass(frozen=True, config=CHECKED)
class IjepaTraining(MaskedTraining):
    """``training=ijepa``. With all three anti-collapse weights 0 it is plain I-JEPA.

    Attributes:
        batch: Clips per step.
        clip_frames: Frames per clip; every one is an image of its own.
        targets: Target blocks per image.
        target_scale: Least and largest area of one, as a share of the image.
        target_aspect: Least and largest height over width of one.
        context_scale: Least and largest area of the context block, before the targets are taken
            out of it.

    Raises:
        ValueError: A range ends below where it begins, or the predictor's heads do not divide its
            width.
    """

    batch: Batch = 64
    clip_frames: Frames = 1
    targets: Blocks = 4
    target_scale: tuple[Share, Share] = (0.15, 0.2)
    target_aspect: tuple[Positive, Positive] = (0.75, 1.5)
    context_scale: tuple[Share, Share] = (0.85, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.masks(grid=2)  # or it raises

    @property
    def mask_tokens(self) -> int:
        """One: blocks differ by where they lie."""
        return 1

    def masks(self, grid: int) -> ImageMasks:
        """What samples its masks, on so many tokens along a side."""
        return ImageMasks(
            grid, self.targets, self.target_scale, self.target_aspect, self.context_scale
        )

    def check(self, encoder: EncoderConfig) -> None:
        """Refuse an encoder that cannot be trained so."""
        super().check(encoder)
        if encoder.grid < 2:
            raise ValueError(
                "Expected an encoder with 2 patches or more along a side, so that some are hidden, "
                f"got {encoder.grid}. Lower encoder.patch_size."
            )

    def objective(self, encoder: VideoTransformer, clips: ClipSampler) -> IjepaObjective:
        """Masked prediction, whatever the images."""
        return IjepaObjective(encoder, self)


class IjepaObjective(MaskedObjective):
    """Predicts target blocks of an image from a context block."""

    def __init__(self, encoder: VideoTransformer, config: IjepaTraining) -> None:
        super().__init__(encoder, config)
        self._masks = config.masks(encoder.config.grid)

    def losses(self, clips: Clips, rng: np.random.Generator) -> dict[str, Tensor]:
        """Prediction, variance and covariance, and SIGReg where it counts."""
        images = clips.frames.flatten(0, 1)
        mask = self._masks.sample(rng, len(images)).to(images.device)
        prediction, samples = self(images, mask)
        return self.terms(prediction, samples, rng)

    def forward(self, images: Tensor, mask: ImageMask) -> tuple[Tensor, Tensor]:
        """Predict the target blocks, each on its own.

        Args:
            images: ``uint8 [B, h, w, 3]``.
            mask: Of every image.

        Returns:
            Smooth L1 error of the targets' latents, and centred latents ``[B * N, D]``.
        """
        clip = self.doubled(to_clip(images.unsqueeze(1)))
        with torch.no_grad():
            targets = normalise(self.target(clip))
        context = self.encoder(clip, mask.context_ids)
        blocks = mask.target_ids.shape[1]
        predicted = self.predictor(
            context.repeat_interleave(blocks, 0),
            mask.context_ids.repeat_interleave(blocks, 0),
            mask.target_ids.flatten(0, 1),
        )
        hidden = mask.target_ids.flatten(1).unsqueeze(-1).expand(-1, -1, targets.shape[-1])
        wanted = targets.gather(1, hidden).view_as(predicted)
        return F.smooth_l1_loss(predicted, wanted), self.samples(clip)
