"""Stage 3, scenes: when two frames show the same objects in the same places.

The same scene has other object latents with the arm elsewhere: where the arm touches an object, its
state says where the object is. So a scene is read off object latent and state together. With the
state of a moment close by, when objects have hardly moved, it must predict that moment's object
latent. Every bit of it costs, so it drops what does not help, the arm above all.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.nn.gaussian import divergence, sample
from worldmodel.settings import CHECKED, Batch, Frames, LearningRate, Steps, Weight

__all__ = ["ScenesTraining", "train_scenes"]


@dataclass(frozen=True, config=CHECKED)
class ScenesTraining:
    """How scenes are trained; see `train_scenes`.

    Attributes:
        steps: Optimiser steps; 0 leaves them as they are.
        batch: Pairs of frames per step.
        apart: Most frames from one of a pair to the other, either way.
        code_weight: Of the object latent's error, against the bits (nats) of a scene.
        learning_rate: Its peak.
    """

    steps: Steps = 4000
    batch: Batch = 1024
    apart: Frames = 8
    code_weight: Weight = 20.0
    learning_rate: LearningRate = 1e-3


def train_scenes(run: TrainingRun, config: ScenesTraining) -> None:
    """Train what takes the arm out of object latents."""
    scenes, data = run.model.scenes, run.data
    if not run.model.config.scene_width:
        return
    rows, first, last = data.rows(data.train), data.first_rows(), data.last_rows()

    def losses() -> dict[str, Tensor]:
        here = run.draw(rows, config.batch)
        low = torch.maximum(here - config.apart, first[here])
        high = torch.minimum(here + config.apart, last[here])
        there = low + (run.uniform(config.batch) * (high - low + 1)).long()
        mean, log_variance = scenes.distribution(run.object_latents[here], run.features[here])
        drawn = sample(mean, log_variance, run.normal(mean.shape))
        pred = scenes.decode(drawn, run.features[there])
        error = F.smooth_l1_loss(pred, run.object_latents[there], reduction="none", beta=0.1)
        return {
            "divergence": divergence(mean, log_variance).mean(),
            "code": config.code_weight * error.sum(-1).mean(),
        }

    run.optimise("scenes", scenes.parameters(), config, losses)
