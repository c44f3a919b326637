"""Stage 6, the policy prior: what the data did where it came nearer to a goal, without rewards.

Advantage-weighted regression (Peng et al., arXiv:1910.00177) on the transitions and hindsight goals
that the value was learned from, once the value stands.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.dynamics.vector.value import ValueTraining, backups, hindsight_goals
from worldmodel.precision import rounded
from worldmodel.settings import CHECKED, Batch, LearningRate, Steps, Weight

__all__ = ["PriorTraining", "advantage_weights", "train_prior"]


@dataclass(frozen=True, config=CHECKED)
class PriorTraining:
    """How the policy prior is trained; see `train_prior`.

    Attributes:
        steps: Optimiser steps; 0 leaves it as it is.
        batch: Transitions per step.
        temperature: Of the advantage weights, per imagined step; 0 imitates all alike.
        ahead: Take all goals from what lies ahead, none from the past or from elsewhere: what was
            done says little of the way to those.
        learning_rate: Its peak.
        bf16: Run matrix products in bfloat16; None does so where the processor has them.
    """

    steps: Steps = 18000
    batch: Batch = 512
    temperature: Weight = 3.0
    ahead: bool = False
    learning_rate: LearningRate = 5e-4
    bf16: bool | None = None


def train_prior(run: TrainingRun, config: PriorTraining, value: ValueTraining) -> None:
    """Train the policy prior; ``value`` is what the value was trained with."""
    model = run.model
    rows, last = run.data.rows(run.data.train, run.stride + 1), run.data.last_rows()
    everywhere = run.data.rows(run.data.train)
    if config.ahead:
        value = replace(value, episode_goals=0.0, random_goals=0.0)
    known = (model.scale_actions.scale > 1e-6).float().repeat(run.stride)

    def losses() -> dict[str, Tensor]:
        here = run.draw(rows, config.batch)
        goal, with_proprio = hindsight_goals(run, value, here, last, everywhere)
        moment = (run.object_latents[here], run.features[here], run.goals(goal, with_proprio))
        with rounded(run.latents.device, config.bf16):
            pred = model.prior(*moment)
        error = F.smooth_l1_loss(pred.float(), run.actions(here), reduction="none")
        error = (error * known).sum(-1)
        if config.temperature:  # without one, all weigh 1 and no critic need be asked
            with torch.no_grad():
                td_target = backups(run, value, model.critics, here, goal, with_proprio)
                advantage = (td_target - model.values(*moment)).mean(0)
            error = advantage_weights(advantage, config.temperature) * error
        return {"prior": error.mean()}

    run.optimise("prior", model.prior_net.parameters(), config, losses)


def advantage_weights(advantage: Tensor, temperature: float) -> Tensor:
    """Weights ``[B]`` of what is imitated, at most 10 (arXiv:1910.00177, section 3)."""
    return (temperature * advantage).exp().clamp(max=10.0)
