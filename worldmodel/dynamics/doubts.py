"""The heads behind the doubts of a compact predictor; see `worldmodel.predictors.doubts`.

Three of them learn to be least surprised by recorded transitions, so that they are surprised by
imagined ones that do not look like them. The fourth learns how far rollouts of the trained ensemble
end from what was recorded: the variance of a Gaussian around each imagined code, at which the
recorded code is most likely (Nix and Weigend, 1994; Lakshminarayanan et al., arXiv:1612.01474).
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.dynamics.stage import Workbench
from worldmodel.predictors.doubts import Path
from worldmodel.predictors.imagination import imagine, imagined_path
from worldmodel.settings import CHECKED, Batch, Frames, LearningRate, Steps

__all__ = ["DoubtsTraining", "train_doubts"]


@dataclass(frozen=True, config=CHECKED)
class DoubtsTraining:
    """Settings.

    Attributes:
        steps: Iterations.
        batch: Windows per iteration.
        rollout: Imagined steps of a window.
        learning_rate: At its highest.
    """

    steps: Steps = 3000
    batch: Batch = 256
    rollout: Frames = 4
    learning_rate: LearningRate = 7e-4


def train_doubts(bench: Workbench, config: DoubtsTraining) -> None:
    """Train all heads at once, each on a loss of its own."""
    doubts = bench.model.doubts
    rows = bench.data.rows(bench.data.train, config.rollout * bench.stride + 1)

    def losses() -> dict[str, Tensor]:
        frames = bench.windows(rows, config.batch, config.rollout)
        truth = bench.codes[frames]
        recorded = Path(truth, bench.features[frames], bench.actions(frames[:, :-1]))
        imagined = _imagined(bench, frames)
        missed = (imagined.codes - truth)[:, 1:].square()
        variance = doubts.variance(imagined) + 1e-5
        return {
            "cycle": doubts.cycle(recorded).mean(),
            "density": doubts.density(recorded).mean(),
            "leap": doubts.leap(recorded).mean(),
            "error": 0.5 * (variance.log() + missed / variance).mean(),
        }

    bench.optimise("doubts", doubts.parameters(), config.steps, config.learning_rate, losses)


@torch.no_grad()
def _imagined(bench: Workbench, frames: Tensor) -> Path:
    """What the model imagines along recorded windows, ``[R, ...]``."""
    rollout = imagine(bench.model, *bench.data.question(bench.latents, frames, bench.stride))
    return Path(*(part.squeeze(1) for part in imagined_path(bench.model, rollout)))
