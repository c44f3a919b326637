"""Stage 4, the dynamics ensemble on object latents, trained over several imagined steps."""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.precision import rounded
from worldmodel.settings import CHECKED, Batch, Frames, LearningRate, Positive, Steps, Weight

__all__ = ["EnsembleTraining", "train_ensemble"]


@dataclass(frozen=True, config=CHECKED)
class EnsembleTraining:
    """How the dynamics are trained; see `train_ensemble`.

    Attributes:
        steps: Optimiser steps; 0 leaves them as they are.
        batch: Windows per step and member.
        rollout: Imagined steps of a window.
        noise: Standard deviation of what is added to the first object latent of a window.
        beta: Error from which on the loss grows linearly: below it, it hardly counts.
        learning_rate: Its peak.
        bf16: Run matrix products in bfloat16; None does so where the processor has them.
    """

    steps: Steps = 4000
    batch: Batch = 192
    rollout: Frames = 4
    noise: Weight = 0.03
    beta: Positive = 1.0
    learning_rate: LearningRate = 7e-4
    bf16: bool | None = None


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
            with rounded(codes.device, config.bf16):
                change = dynamics.change(now, features[:, :, k], actions[:, :, k])
            now = now + change.float()  # in full precision, or small changes would be lost
            imagined.append(now)
        future = torch.stack(imagined, -2)
        return {"prediction": F.smooth_l1_loss(future, truth[:, :, 1:], beta=config.beta)}

    run.optimise("dynamics", dynamics.parameters(), config, losses)
