"""Stage 8, the uncertainty heads of a vector predictor (`worldmodel.predictors.uncertainty`).

Two of them learn to be little surprised by recorded transitions, so that they are surprised by
imagined ones that are unlike them. The third learns how far rollouts of the trained ensemble
end from what was recorded: the variance of a Gaussian around each imagined code, at which the
recorded code is most likely (Nix and Weigend, 1994; Lakshminarayanan et al., arXiv:1612.01474).
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.predictors.imagination import imagine, imagined_path
from worldmodel.predictors.uncertainty import Path
from worldmodel.settings import CHECKED, Batch, Frames, LearningRate, Steps

__all__ = ["UncertaintyTraining", "train_uncertainty"]


@dataclass(frozen=True, config=CHECKED)
class UncertaintyTraining:
    """How the uncertainty heads are trained; see `train_uncertainty`.

    Attributes:
        steps: Optimiser steps; 0 leaves them as they are.
        batch: Windows per step.
        rollout: Imagined steps of a window.
        learning_rate: Its peak.
    """

    steps: Steps = 3000
    batch: Batch = 256
    rollout: Frames = 4
    learning_rate: LearningRate = 7e-4


def train_uncertainty(run: TrainingRun, config: UncertaintyTraining) -> None:
    """Train all heads at once, each on a loss of its own."""
    uncertainties = run.model.uncertainties
    rows = run.data.rows(run.data.train, config.rollout * run.stride + 1)

    def losses() -> dict[str, Tensor]:
        frames = run.windows(rows, config.batch, config.rollout)
        truth = run.object_latents[frames]
        recorded = Path(truth, run.features[frames], run.actions(frames[:, :-1]))
        imagined = _imagined(run, frames)
        error = (imagined.codes - truth)[:, 1:].square()
        variance = uncertainties.variance(imagined) + 1e-5
        return {
            "density": uncertainties.density(recorded).mean(),
            "leap": uncertainties.leap(recorded).mean(),
            "error": 0.5 * (variance.log() + error / variance).mean(),
        }

    run.optimise("uncertainty", uncertainties.parameters(), config, losses)


@torch.no_grad()
def _imagined(run: TrainingRun, frames: Tensor) -> Path:
    """What the model imagines along recorded windows, ``[R, ...]``."""
    rollout = imagine(run.model, *run.data.question(run.latents, frames, run.stride))
    return Path(*(part.squeeze(1) for part in imagined_path(run.model, rollout)))
