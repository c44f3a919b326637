"""Stage 1, another way: the object latent is what the picture shows beside the robot.

Object latent and the robot's own state must draw the frame, that is the frozen tokens. The state is
told, so the latent has to hold the rest: where objects are, and how they are turned. Where a robot
goes says little of that where it touches objects seldom, or is moved by nothing (PushT).

A variational autoencoder (Kingma and Welling, arXiv:1312.6114) of tokens, conditioned on the state.
An error counts as its share of what varies in its token over the data set, as if that were the
variance of a Gaussian (a calibrated decoder: Rybkin et al., arXiv:2006.13202, who learn it). So
a robot that fills the picture does not drown a small thing on a table that is bare otherwise.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.nn.gaussian import divergence, sample
from worldmodel.nn.grids import GridDecoder
from worldmodel.settings import CHECKED, Batch, LearningRate, Steps, Weight, Width

__all__ = ["PictureTraining", "train_picture"]

_ENOUGH = 4096  # frames, to tell what varies
_BARE = 0.05  # of the mean variance of a token, from which down one counts as bare background


@dataclass(frozen=True, config=CHECKED)
class PictureTraining:
    """How the object latent is trained to draw frames; see `train_picture`.

    Attributes:
        steps: Optimiser steps; 0 leaves it as it is.
        batch: Frames per step.
        weight: Of the share of the picture that is not drawn, against the bits (nats) of a latent.
        channels: Of the network that draws, which is of use here only.
        learning_rate: Its peak.
    """

    steps: Steps = 0
    batch: Batch = 128
    weight: Weight = 3000.0
    channels: Width = 32
    learning_rate: LearningRate = 1e-3


def train_picture(run: TrainingRun, config: PictureTraining) -> None:
    """Train what reads the object latent off the tokens."""
    if not config.steps:
        return  # what draws would take random numbers
    head, data, sizes = run.model.head, run.data, run.model.config
    rows, first, last = data.rows(data.train), data.first_rows(), data.last_rows()
    some = data.latents[rows[:: -(-len(rows) // _ENOUGH)]].float()
    usual, varies = some.mean(0), some.var(0).sum(-1)
    counts = 1 / (varies + _BARE * varies.mean()).clamp(min=1e-9)
    counts /= (counts * varies).sum().clamp(min=1e-9)
    inputs = sizes.object_width + run.features.shape[-1]
    draw = GridDecoder(inputs, sizes.tokens, sizes.token_width, config.channels, sizes.cameras)

    def losses() -> dict[str, Tensor]:
        here = run.draw(rows, config.batch)
        anywhere = run.uniform(config.batch) * (last[here] - first[here] + 1)
        tokens, reference = (
            data.latents[frames].float() for frames in (here, first[here] + anywhere.long())
        )
        mean, log_variance = head.distribution(tokens, reference)
        latents = sample(mean, log_variance, run.normal(mean.shape))
        drawn = usual + draw(torch.cat([latents, run.features[here]], -1))
        missed = (drawn - tokens).square().sum(-1) @ counts
        return {
            "divergence": divergence(mean, log_variance).mean(),
            "picture": config.weight * missed.mean(),
        }

    run.optimise("picture", [*head.code.parameters(), *draw.parameters()], config, losses)
