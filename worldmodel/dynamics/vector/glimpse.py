"""Stage 1, what points leave out: how a small thing looks where it is.

A glimpse and the robot's own state must draw the tokens around one point: the one whose moves that
state explains least, which is on an object. A plain autoencoder does better than a variational one,
which gives up what shows in a few pixels.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.nn.mlp import mlp
from worldmodel.predictors.planning_head import STILL, Keypoints
from worldmodel.settings import CHECKED, Batch, LearningRate, Steps

__all__ = ["GlimpseTraining", "train_glimpse"]


@dataclass(frozen=True, config=CHECKED)
class GlimpseTraining:
    """How glimpses are trained; see `train_glimpse`.

    Attributes:
        steps: Optimiser steps; 0 leaves them as they are.
        batch: Frames per step.
        learning_rate: Its peak.
    """

    steps: Steps = 6000
    batch: Batch = 256
    learning_rate: LearningRate = 1.5e-3


@torch.no_grad()
def _look(
    points: Keypoints, run: TrainingRun, rows: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Choose where glimpses go, and collect what is there, a row for each camera of each frame.

    Returns:
        How far these points move by themselves, root mean square, ``[K]``, and what
        `Keypoints.close` gives.
    """
    parts = rows.split(512)
    found = torch.cat([points.find(run.data.latents[part].float()) for part in parts])
    told = run.features[rows]
    told = torch.cat([told, told.square(), torch.ones(len(rows), 1)], -1)
    left = found - told @ torch.linalg.lstsq(told, found).solution
    moves = left.var(0).view(len(points.gaze), -1, 2).sum(-1)
    most, chosen = moves.max(-1)
    points.gaze.copy_(chosen)
    seen = [
        points.close(run.data.latents[part].float(), at)
        for part, at in zip(parts, found.split(512), strict=True)
    ]
    close, where = zip(*seen, strict=True)
    return most.sqrt(), (torch.cat([tokens.half() for tokens in close]), torch.cat(where))


def train_glimpse(run: TrainingRun, config: GlimpseTraining) -> None:
    """Train what is read where glimpses go."""
    points, sizes = run.model.head.code, run.model.config
    if not config.steps or not isinstance(points, Keypoints) or points.glimpse is None:
        return  # what draws would take random numbers
    read, rows = points.glimpse, run.data.rows(run.data.train)
    moves, (close, where) = _look(points, run, rows)
    told = (run.features * run.model.state_features.visible)[rows]
    told = torch.cat([told.repeat_interleave(sizes.cameras, 0), where], -1)
    usual = close.float().mean(0)
    draw = mlp(sizes.glimpse + told.shape[-1], 256, 2, close.shape[-1])
    everything = torch.arange(len(close))

    def losses() -> dict[str, Tensor]:
        here = run.draw(everything, config.batch)
        tokens = close[here].float()
        drawn = usual + draw(torch.cat([read(tokens, where[here]), told[here]], -1))
        return {"glimpse": (drawn - tokens).square().mean()}

    run.optimise("glimpse", [*read.parameters(), *draw.parameters()], config, losses)
    some = slice(None, None, -(-len(close) // 4096))
    read.fit(close[some].float(), where[some])
    # Where nothing moves by itself there is no thing to look at: what is seen then hardly counts.
    read.spread /= (moves.max() / STILL).clamp(min=1e-3, max=1.0)
