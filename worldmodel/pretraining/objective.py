"""What the pretraining loop needs of an objective, and the settings that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.predictors.masked import MaskedPredictor
from worldmodel.pretraining.clips import Clips, ClipSampler
from worldmodel.settings import (
    CHECKED,
    Batch,
    Count,
    Frames,
    LearningRate,
    Seed,
    Share,
    Steps,
    Weight,
)

__all__ = ["Objective", "PretrainingConfig"]


class Objective(nn.Module, ABC):
    """An encoder and whatever it is trained with.

    Attributes:
        weights: Of the terms of the loss, by name.
    """

    weights: Mapping[str, float]

    @abstractmethod
    def losses(self, clips: Clips, rng: np.random.Generator) -> dict[str, Tensor]:
        """The terms, unweighted scalars by name; those of weight 0 may be left out."""

    @abstractmethod
    def kept(self) -> VideoTransformer:
        """The encoder that a run leaves behind."""

    def masked_predictor(self) -> MaskedPredictor | None:
        """What was trained beside the encoder to predict its latents, for those who want it too."""
        return None

    def follow(self, progress: float) -> None:
        """Called after every optimiser step with the share of the run that is done."""
        return


@dataclass(frozen=True, config=CHECKED)
class PretrainingConfig(ABC):
    """How an encoder is pretrained, whatever the objective.

    Attributes:
        steps: Optimiser steps; 0 saves a randomly initialised encoder.
        batch: Clips per step.
        clip_frames: Frames per clip.
        learning_rate: Peak of the cosine schedule.
        warmup: Share of the steps that the learning rate rises.
        weight_decay: Of AdamW.
        min_rank: Effective rank below which, after the warm-up, the run has collapsed.
        bf16: Run matrix products in bfloat16; None does so where the processor has them.
        log_every: Steps between log entries.
        probe_every: Steps between probes and saved training states.
        seed: Of initialisation, data order and all else that is drawn.
    """

    steps: Steps = 1800
    batch: Batch = 32
    clip_frames: Frames = 8
    learning_rate: LearningRate = 1e-3
    warmup: Share = 0.1
    weight_decay: Weight = 0.04
    min_rank: Weight = 4.0
    bf16: bool | None = None
    log_every: Count = 10
    probe_every: Count = 100
    seed: Seed = 0

    def check(self, encoder: EncoderConfig) -> None:
        """Refuse an encoder that cannot be trained so.

        Raises:
            ValueError: There is nothing to train, or clips do not fit it.
        """
        if self.steps and not encoder.depth:
            raise ValueError(
                "Expected encoder.depth of at least 1 to train: without blocks tokens are the "
                "pixels. Use training.steps=0 to save them as an encoder."
            )

    @abstractmethod
    def objective(self, encoder: VideoTransformer, clips: ClipSampler) -> Objective:
        """The objective that these settings describe.

        Args:
            encoder: Trained by it, in place.
            clips: What it will see.
        """
