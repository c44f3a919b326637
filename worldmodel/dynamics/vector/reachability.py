"""Stage 7, reachability: how many imagined steps lead from one moment to another.

Two moments of one episode bound the distance: it takes no longer than it took until the goal was
first shown. Regression to these separations by a lower expectile keeps near the shortest that the
data hold, and the quasimetric puts ways of several episodes together. Moments are drawn evenly by
how far they are apart, so that far ones of an episode, the hard negatives in time, count as much as
near ones. Moments of different episodes are spread apart up to a horizon beyond which nothing is
claimed, or what was never seen to lead to one another would look near (Wang et al.,
arXiv:2304.01203, section 4).

Half of the goals are scenes, reached wherever the arm is; the other half count the arm as well.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.settings import (
    CHECKED,
    Batch,
    Frames,
    LearningRate,
    ProperShare,
    Share,
    Steps,
    Weight,
)

__all__ = ["ReachabilityTraining", "train_reachability"]


@dataclass(frozen=True, config=CHECKED)
class ReachabilityTraining:
    """How the reachability is trained; see `train_reachability`.

    Attributes:
        steps: Optimiser steps; 0 leaves it as it is.
        batch: Pairs of moments per step, of one episode and of any two, each.
        horizon: Imagined steps beyond which separations count alike.
        expectile: Weight of distances that are too long, against one minus it of too short ones.
        spread: Weight of the term that spreads moments of different episodes apart.
        proprio_goals: Share of goals that count the arm.
        proprio_near: Distance of the arm's features, each of unit variance, that counts as there.
        learning_rate: Its peak.
    """

    steps: Steps = 4000
    batch: Batch = 512
    horizon: Frames = 24
    expectile: ProperShare = 0.9
    spread: Weight = 0.1
    proprio_goals: Share = 0.5
    proprio_near: Weight = 0.4
    learning_rate: LearningRate = 5e-4


def train_reachability(run: TrainingRun, config: ReachabilityTraining) -> None:
    """Train the reachability, by expectile regression to separations in the data."""
    model, data = run.model, run.data
    rows, first, last = data.rows(data.train), data.first_rows(), data.last_rows()
    moments = torch.cat([run.object_latents, run.features], -1)

    def losses() -> dict[str, Tensor]:
        here, goal = _pairs(run, config, run.draw(rows, config.batch), first, last)
        with_proprio = run.uniform(config.batch) < config.proprio_goals
        separation = _arrival(run, config, here, goal, with_proprio)
        elsewhere = run.draw(rows, config.batch)
        goals = run.goals(torch.stack([goal, elsewhere]), with_proprio)
        together, apart = model.steps(moments[here], goals)
        error = together - separation
        side = torch.where(error > 0, config.expectile, 1 - config.expectile)
        missing = F.relu(config.horizon - apart)
        return {
            "separation": (side * error.square() / (1 + separation)).mean(),
            "spread": config.spread * (missing.square() / config.horizon).mean(),
        }

    run.optimise("reachability", model.reachability.parameters(), config, losses)


def _pairs(
    run: TrainingRun, config: ReachabilityTraining, rows: Tensor, first: Tensor, last: Tensor
) -> tuple[Tensor, Tensor]:
    """Two moments of the episode of every row.

    They are 0 to ``horizon`` imagined steps apart, any number as likely as the episode is long.
    """
    first, last, stride = first[rows], last[rows], run.stride
    longest = ((last - first) // stride).clamp(max=config.horizon)
    apart = stride * (run.uniform(len(rows)) * (longest + 1)).long()
    here = first + (run.uniform(len(rows)) * (last - first - apart + 1)).long()
    return here, here + apart


def _arrival(
    run: TrainingRun, config: ReachabilityTraining, here: Tensor, goal: Tensor, with_proprio: Tensor
) -> Tensor:
    """Imagined steps from here until what the goal shows is first seen; ``goal`` at the latest."""
    ahead = run.stride * torch.arange(config.horizon + 1)
    frames = torch.minimum(here[:, None] + ahead, goal[:, None])
    there = run.shows(frames, goal[:, None], with_proprio[:, None], config.proprio_near)
    return there.int().argmax(1)
