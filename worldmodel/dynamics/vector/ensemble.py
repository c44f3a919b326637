"""Stage 4, the dynamics ensemble on object latents, trained over several imagined steps."""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.settings import CHECKED, Batch, Frames, LearningRate, Steps, Weight

__all__ = ["EnsembleTraining", "train_ensemble"]


@dataclass(frozen=True, config=CHECKED)
class EnsembleTraining:
    """How the dynamics are trained; see `train_ensemble`.

    Attributes:
        steps: Optimiser steps; 0 leaves them as they are.
        batch: Windows per step and member.
        rollout: Imagined steps of a window.
        noise: Standard deviation of what is added to the first object latent of a window.
        learning_rate: Its peak.
    """

    steps: Steps = 4000
    batch: Batch = 192
    rollout: Frames = 4
    noise: Weight = 0.03
    learning_rate: LearningRate = 7e-4


def train_ensemble(run: TrainingRun, config: EnsembleTraining) -> None:
    """Train the members of the dynamics, each on windows of its own."""
    dynamics, codes = run.model.dynamics, run.object_latents
    rows = run.data.rows(run.data.train, config.rollout * run.stride + 1)

    def losses() -> dict[str, Tensor]:
        frames = torch.stack(
            [
                run.windows(rows, config.batch, config.rollout)
                for _ in range(run.model.config.members)
            ]
        )
        truth = codes[frames]
        now = truth[:, :, 0] + config.noise * run.normal(truth[:, :, 0].shape)
        features, actions = run.features[frames[..., :-1]], run.actions(frames[..., :-1])
        imagined: list[Tensor] = []
        for k in range(config.rollout):
            now = dynamics(now, features[:, :, k], actions[:, :, k])
            imagined.append(now)
        return {"prediction": F.smooth_l1_loss(torch.stack(imagined, -2), truth[:, :, 1:])}

    run.optimise("dynamics", dynamics.parameters(), config, losses)
