"""Stage 1, the object latent: what a frame holds that matters to whoever acts.

The object latents of two frames of an episode, with the arm's states at both, must predict where
the arm goes between them, and every bit of them costs. The arm moves around objects, to objects and
with objects. So an object latent comes to hold their places, however few tokens they fill, and
drops appearance and the arm. It is encoded with a reference frame of the same scene, as a plan
encodes its start with its goal and its goal with its start.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.errors import UserError
from worldmodel.nn.gaussian import divergence, sample
from worldmodel.nn.mlp import mlp
from worldmodel.precision import rounded
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
    """How the object latent is trained; see `train_object_latent`.

    Attributes:
        steps: Optimiser steps; 0 leaves it as it is.
        batch: Pairs of frames per step.
        way: Control steps ahead for which the arm's displacement is predicted.
        way_weight: Of that prediction's error, against the bits (nats) of an object latent.
        goal_rate: Of the geometric distribution of frames from the first of a pair to the second.
        each_other: Share of frames whose reference is the other one of their pair; that of the
            rest is any frame of the episode.
        learning_rate: Its peak.
        parts: In how many parts the gradient of a batch is computed; they divide it.
        bf16: Run matrix products in bfloat16; None does so where the processor has them.

    Raises:
        ValueError: ``parts`` do not divide ``batch``.
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
    """Train what reads the object latent off the tokens.

    Raises:
        UserError: The model finds points instead, which stage ``picture`` trains.
    """
    if config.steps and run.model.config.sight == "grid":
        raise UserError(
            f"Expected model.sight=points with training.object_latent.steps={config.steps}, got "
            "grid; set object_latent.steps=0, and train picture instead"
        )
    head, data, features = run.model.head, run.data, run.features
    rows = data.rows(data.train, max(config.way) + 1)
    # A robot that does not feel itself has only what it did to tell where it went.
    path = features if features.shape[-1] else _deeds(run)
    first, last = data.first_rows(), data.last_rows()
    width, state = run.model.config.object_width, features.shape[-1]
    told = path.shape[-1]
    decoder = mlp(2 * (width + state), 256, 2, len(config.way) * told)  # of use here only
    moving = (path[rows].std(0) > 0.5).float()  # the rest is the noise of what is held still

    def references(frames: Tensor, partners: Tensor) -> Tensor:
        """The rows of the reference frames."""
        anywhere = run.uniform(len(frames)) * (last[frames] - first[frames] + 1)
        chosen = run.uniform(len(frames)) < config.each_other
        return torch.where(chosen, partners, first[frames] + anywhere.long())

    def losses() -> dict[str, Tensor]:
        start = run.draw(rows, config.batch // config.parts)
        goal = torch.minimum(start + run.ahead(config.goal_rate, len(start)), last[start])
        frames = torch.cat([start, goal])
        rows_of_both = (frames, references(frames, torch.cat([goal, start])))
        with rounded(data.latents.device, config.bf16):
            tokens, reference = (data.latents[rows].float() for rows in rows_of_both)
            mean, log_variance = (part.float() for part in head.distribution(tokens, reference))
        begin, end = sample(mean, log_variance, run.normal(mean.shape)).chunk(2)
        known = torch.cat([begin, features[start], end, features[goal]], -1)
        pred = decoder(known).unflatten(-1, (-1, told))
        target = path[start[:, None] + torch.tensor(config.way)] - path[start, None]
        error = F.smooth_l1_loss(pred, target, reduction="none", beta=0.1) * moving
        return {
            "divergence": divergence(mean, log_variance).mean(),
            "way": config.way_weight * error.sum((-2, -1)).mean(),
        }

    parameters = [*head.code.parameters(), *decoder.parameters()]
    run.optimise("object_latent", parameters, config, losses, config.parts)


def _deeds(run: TrainingRun) -> Tensor:
    """Scaled actions added up within each episode, to unit spread, ``[F, A]``."""
    done = run.model.scale_actions(run.data.actions).cumsum(0)
    since = done - done[run.first]
    return since / since.std(0).clamp(min=1e-6)
