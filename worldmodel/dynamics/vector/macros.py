"""Stage 9, macro-actions: what they lead to, and which of them led to goals.

The macro model is a conditional variational autoencoder over several macros in a row, each decoded
from the last prediction, so that macros compose. The macro prior is advantage-weighted regression
to the macros that lead towards hindsight goals, as the high-level policy of HIQL
(arXiv:2307.11949, §4.2); the advantage is that of the value learned before.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.prior import advantage_weights
from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.dynamics.vector.value import ValueTraining, hindsight_goals
from worldmodel.nn.gaussian import divergence, sample
from worldmodel.settings import CHECKED, Batch, Frames, LearningRate, Positive, Steps, Weight

__all__ = ["MacrosTraining", "train_macros"]


@dataclass(frozen=True, config=CHECKED)
class MacrosTraining:
    """How macro-actions are trained; see `train_macros`.

    Attributes:
        steps: Optimiser steps; 0 leaves them as they are.
        batch: Windows per step.
        rollout: Macros in a row that predictions are trained over.
        sigma: Standard deviation that predicted latents are allowed; larger keeps less in a macro.
        noise: Standard deviation of what is added to the first latent of a window.
        temperature: Of the advantage weights of the macro prior, per imagined step.
        learning_rate: Its peak.
    """

    steps: Steps = 5000
    batch: Batch = 256
    rollout: Frames = 3
    sigma: Positive = 0.2
    noise: Weight = 0.03
    temperature: Weight = 3.0
    learning_rate: LearningRate = 7e-4


def train_macros(run: TrainingRun, config: MacrosTraining, value: ValueTraining) -> None:
    """Train macro encoder, high-level dynamics and macro prior, once the value is trained.

    Goals and discount are those that the value was trained with.
    """
    if config.steps == 0:
        return
    model, macros, span = run.model, run.model.macros, run.model.config.macro_steps
    rows = run.data.rows(run.data.train, config.rollout * span + 1)
    last = run.data.last_rows()
    everywhere = run.data.rows(run.data.train)
    grounded = torch.cat([run.object_latents, run.features], -1)
    discount = value.discount ** (span / run.stride)

    def losses() -> dict[str, Tensor]:
        frames = run.draw(rows, config.batch)[:, None] + span * torch.arange(config.rollout + 1)
        truth = grounded[frames]
        mean, log_variance = macros.distribution(truth[:, :-1], run.actions(frames[:, :-1], span))
        chosen = sample(mean, log_variance, run.normal(mean.shape))
        now = truth[:, 0] + config.noise * run.normal(truth[:, 0].shape)
        imagined: list[Tensor] = []
        for k in range(config.rollout):
            now = macros(now, chosen[:, k])
            imagined.append(now)
        error = (torch.stack(imagined, 1) - truth[:, 1:]).square().sum(-1)

        here, there = frames[:, 0], frames[:, 1]
        goal, with_proprio = hindsight_goals(run, value, here, last, everywhere)
        goals = run.goals(goal, with_proprio)
        with torch.no_grad():
            before, after = (
                model.value(run.object_latents[at], run.features[at], goals) for at in (here, there)
            )
            advantage = discount * after - before - (1 - discount) / (1 - value.discount)
            weight = advantage_weights(advantage, config.temperature)
        pred = macros.prior(truth[:, 0], goals)
        prior_error = F.smooth_l1_loss(pred, mean[:, 0].detach(), reduction="none")
        return {
            "prediction": error.mean() / (2 * config.sigma**2),
            "divergence": divergence(mean, log_variance).mean(),
            "prior": (weight[:, None] * prior_error).sum(-1).mean(),
        }

    run.optimise("macros", macros.parameters(), config, losses)
    macros.trained.fill_(True)
