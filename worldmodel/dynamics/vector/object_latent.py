"""The object latent: what a frame holds that matters to whoever acts.

The code of a frame, with the code of a later one and the arm's states at both, must suffice to
tell where the arm went on the way there; and every bit of it costs. The arm goes round objects, to
objects and with objects, so their places are what a code comes to hold, however few tokens they
fill; what only looks, it drops, and the arm itself, whose states are given.
Codes are read beside another look at the same scene, as a plan reads its start beside its goal and
its goal beside its start.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.nn.gaussian import divergence
from worldmodel.nn.mlp import mlp
from worldmodel.precision import has_bfloat16
from worldmodel.settings import (
    CHECKED,
    Batch,
    Count,
    Frames,
    LearningRate,
    NonEmpty,
    Rate,
    Share,
    Steps,
    Weight,
)

__all__ = ["ObjectLatentTraining", "train_object_latent"]


@dataclass(frozen=True, config=CHECKED)
class ObjectLatentTraining:
    """Settings.

    Attributes:
        steps: Iterations.
        batch: Pairs of frames per iteration.
        way: Frames ahead at which it is told where the arm has gone.
        way_weight: Of that, against the bits of a code.
        goal_rate: Of the geometric distribution of frames to the later frame.
        each_other: Share of frames read beside the other one of their pair; the rest are read
            beside any of the episode.
        learning_rate: At its highest.
        parts: Into which a batch is cut, to be gone through one by one; they divide it.
        bf16: Run matrix products in bfloat16; None does so where the processor has them.
    """

    steps: Steps = 12000
    batch: Batch = 256
    way: NonEmpty[Frames] = (1, 2, 4, 7, 10)
    way_weight: Weight = 400.0
    goal_rate: Rate = 0.07
    each_other: Share = 0.5
    learning_rate: LearningRate = 1e-3
    parts: Count = 8
    bf16: bool | None = None

    def __post_init__(self) -> None:
        if self.batch % self.parts:
            raise ValueError(
                f"Expected a batch that divides into object_latent.parts={self.parts} parts, "
                f"got {self.batch}."
            )


def train_object_latent(run: TrainingRun, config: ObjectLatentTraining) -> None:
    """Train the planning head's code."""
    head, data, features = run.model.head, run.data, run.features
    rows = data.rows(data.train, max(config.way) + 1)
    first, last = data.first_rows(), data.last_rows()
    code, state = run.model.config.object_width, features.shape[-1]
    guide = mlp(2 * (code + state), 256, 2, len(config.way) * state)  # withers afterwards
    moving = (features[rows].std(0) > 0.5).float()  # the rest is the noise of what is held still
    bf16 = has_bfloat16(data.latents.device) if config.bf16 is None else config.bf16

    def looks(frames: Tensor, partners: Tensor) -> Tensor:
        """What frames are read beside."""
        anywhere = run.uniform(len(frames)) * (last[frames] - first[frames] + 1)
        chosen = run.uniform(len(frames)) < config.each_other
        return torch.where(chosen, partners, first[frames] + anywhere.long())

    def losses() -> dict[str, Tensor]:
        start = run.draw(rows, config.batch // config.parts)
        goal = torch.minimum(start + run.ahead(config.goal_rate, len(start)), last[start])
        frames, beside = torch.cat([start, goal]), torch.cat([goal, start])
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            tokens, look = (data.latents[at].float() for at in (frames, looks(frames, beside)))
            mean, log_variance = (part.float() for part in head.distribution(tokens, look))
        codes = mean + (0.5 * log_variance).exp() * run.normal(mean.shape)
        begin, end = codes.chunk(2)
        moments = torch.cat([begin, features[start], end, features[goal]], -1)
        told = guide(moments).unflatten(-1, (-1, state))
        gone = features[start[:, None] + torch.tensor(config.way)] - features[start, None]
        missed = F.smooth_l1_loss(told, gone, reduction="none", beta=0.1) * moving
        return {
            "divergence": divergence(mean, log_variance).mean(),
            "way": config.way_weight * missed.sum((-2, -1)).mean(),
        }

    parameters = [*head.code.parameters(), *guide.parameters()]
    steps, parts = config.steps, config.parts
    run.optimise("code", parameters, steps, config.learning_rate, losses, parts)
