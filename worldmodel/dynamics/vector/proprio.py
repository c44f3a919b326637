"""Stage 2, the proprio features: reading the arm's state off the image, wherever the arm is."""

from __future__ import annotations

from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.settings import CHECKED, Batch, LearningRate, Steps

__all__ = ["ProprioTraining", "train_proprio"]


@dataclass(frozen=True, config=CHECKED)
class ProprioTraining:
    """How the proprio features are trained; see `train_proprio`.

    Attributes:
        steps: Optimiser steps; 0 leaves them as they are.
        batch: Frames per step.
        learning_rate: Its peak.
    """

    steps: Steps = 3000
    batch: Batch = 256
    learning_rate: LearningRate = 1e-3


def train_proprio(run: TrainingRun, config: ProprioTraining) -> None:
    """Train what reads the proprio features off the tokens, by regression to the state features."""
    arm, data = run.model.head.arm, run.data
    rows = data.rows(data.train)

    def losses() -> dict[str, Tensor]:
        here = _spread(run, rows, config.batch)
        return {"arm": F.smooth_l1_loss(arm(data.latents[here].float()), run.features[here])}

    run.optimise("proprio", arm.parameters(), config, losses)


def _spread(run: TrainingRun, rows: Tensor, batch: int, tries: int = 32) -> Tensor:
    """Rows whose states cover the range of positions evenly, however rare some are.

    Each is the nearest of a few random ones to a point drawn from the range.
    """
    places = run.features[:, :3]
    low, high = places[rows].amin(0), places[rows].amax(0)
    candidates = run.draw(rows, batch * tries).view(batch, tries)
    points = low + (high - low) * run.uniform(batch, 1, len(low))
    nearest = (places[candidates] - points).norm(dim=-1).argmin(1, keepdim=True)
    return candidates.gather(1, nearest)[:, 0]
