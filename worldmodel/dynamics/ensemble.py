"""The dynamics ensemble on scene codes, trained over several imagined steps."""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.stage import Workbench
from worldmodel.settings import CHECKED, Batch, Frames, LearningRate, Steps, Weight

__all__ = ["EnsembleTraining", "train_ensemble"]


@dataclass(frozen=True, config=CHECKED)
class EnsembleTraining:
    """Settings.

    Attributes:
        steps: Iterations.
        batch: Windows per iteration and member.
        rollout: Imagined steps that a prediction is trained over.
        noise: On the first code of a window.
        learning_rate: At its highest.
    """

    steps: Steps = 4000
    batch: Batch = 192
    rollout: Frames = 4
    noise: Weight = 0.03
    learning_rate: LearningRate = 7e-4


def train_ensemble(bench: Workbench, config: EnsembleTraining) -> None:
    """Train the members of the dynamics, each on windows of its own."""
    dynamics, codes = bench.model.dynamics, bench.codes
    rows = bench.data.rows(bench.data.train, config.rollout * bench.stride + 1)

    def losses() -> dict[str, Tensor]:
        frames = torch.stack(
            [
                bench.windows(rows, config.batch, config.rollout)
                for _ in range(bench.model.config.members)
            ]
        )
        truth = codes[frames]
        now = truth[:, :, 0] + config.noise * bench.normal(truth[:, :, 0].shape)
        features, actions = bench.features[frames[..., :-1]], bench.actions(frames[..., :-1])
        imagined: list[Tensor] = []
        for k in range(config.rollout):
            now = dynamics(now, features[:, :, k], actions[:, :, k])
            imagined.append(now)
        return {"prediction": F.smooth_l1_loss(torch.stack(imagined, -2), truth[:, :, 1:])}

    bench.optimise("dynamics", dynamics.parameters(), config.steps, config.learning_rate, losses)
