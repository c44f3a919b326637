"""The scene apart from the arm: when two frames show the same.

A code is read where the arm is known, so where the arm touches a thing, it need not say where that
is; the same scene has other codes with the arm elsewhere. So scenes are read off code and arm
together, and must tell the code of a moment close by, when things are mostly where they were, once
the arm's place at that moment is given. Every bit of them costs: what does not help, the arm before
all, they drop.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.nn.gaussian import divergence
from worldmodel.settings import CHECKED, Batch, Frames, LearningRate, Steps, Weight

__all__ = ["ScenesTraining", "train_scenes"]


@dataclass(frozen=True, config=CHECKED)
class ScenesTraining:
    """Settings.

    Attributes:
        steps: Iterations.
        batch: Pairs of frames per iteration.
        apart: Frames by which those of a pair are apart at most, either way.
        code_weight: Of the error of the code, against the bits of a scene.
        learning_rate: At its highest.
    """

    steps: Steps = 4000
    batch: Batch = 1024
    apart: Frames = 8
    code_weight: Weight = 20.0
    learning_rate: LearningRate = 1e-3


def train_scenes(run: TrainingRun, config: ScenesTraining) -> None:
    """Train what takes the arm out."""
    scenes, data = run.model.scenes, run.data
    rows, first, last = data.rows(data.train), data.first_rows(), data.last_rows()

    def losses() -> dict[str, Tensor]:
        here = run.draw(rows, config.batch)
        low = torch.maximum(here - config.apart, first[here])
        high = torch.minimum(here + config.apart, last[here])
        there = low + (run.uniform(config.batch) * (high - low + 1)).long()
        mean, log_variance = scenes.distribution(run.object_latents[here], run.features[here])
        drawn = mean + (0.5 * log_variance).exp() * run.normal(mean.shape)
        told = scenes.told(drawn, run.features[there])
        missed = F.smooth_l1_loss(told, run.object_latents[there], reduction="none", beta=0.1)
        return {
            "divergence": divergence(mean, log_variance).mean(),
            "code": config.code_weight * missed.sum(-1).mean(),
        }

    run.optimise("scenes", scenes.parameters(), config.steps, config.learning_rate, losses)
