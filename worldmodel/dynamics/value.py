"""Goal-conditioned value and policy prior from hindsight goals, without rewards or labels.

The value is action-free IQL: expectile regression to one-step backups (Kostrikov et al.,
arXiv:2110.06169; without actions as in HIQL, arXiv:2307.11949). The prior is advantage-weighted
regression on the same transitions (Peng et al., arXiv:1910.00177). Half of the goals are scenes,
reached wherever the arm is; the other half count the arm as well.

A planner takes what looks best, errors included. So there are several critics, each with targets of
its own, that tell by their spread where the value is a guess.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.stage import Workbench

__all__ = ["ValueTraining", "hindsight_goals", "train_value"]


@dataclass(frozen=True)
class ValueTraining:
    """Settings.

    Attributes:
        steps: Iterations.
        batch: Transitions per iteration.
        discount: Per imagined step.
        expectile: Of the value regression.
        goal_rate: Of the geometric distribution of frames to a hindsight goal.
        random_goals: Share of goals taken from anywhere in the data.
        arm_goals: Share of goals that count the arm.
        arm_near: Distance of the arm's features, each of unit variance, that counts as there.
        temperature: Of the advantage weights of the prior.
        learning_rate: At its highest.
    """

    steps: int = 10000
    batch: int = 512
    discount: float = 0.95
    expectile: float = 0.8
    goal_rate: float = 0.06
    random_goals: float = 0.2
    arm_goals: float = 0.5
    arm_near: float = 0.4
    temperature: float = 3.0
    learning_rate: float = 5e-4


def train_value(bench: Workbench, config: ValueTraining) -> None:
    """Train the value and the policy prior."""
    model, codes, features, stride = bench.model, bench.codes, bench.features, bench.stride
    rows, last = bench.data.rows(bench.data.train, stride + 1), bench.data.last_rows()
    everywhere = bench.data.rows(bench.data.train)
    target = deepcopy(model.critics).requires_grad_(False)
    known = (model.scale_actions.scale > 1e-6).float().repeat(stride)

    def losses() -> dict[str, Tensor]:
        here = bench.draw(rows, config.batch)
        goal, with_arm = hindsight_goals(bench, config, here, last, everywhere)
        there = here + stride
        goals = model.goals(bench.latents[goal], with_arm)
        state = (codes[here], features[here], goals)

        def reached(frames: Tensor) -> Tensor:
            return bench.shows(frames, goal, with_arm, config.arm_near)

        with torch.no_grad():
            after = torch.cat([codes[there], features[there], goals], -1)
            later = target(after.expand(model.config.critics, -1, -1)).squeeze(-1)
            future = torch.where(reached(there), 0.0, later)
            backup = torch.where(reached(here), 0.0, -1.0 + config.discount * future)
        error = backup - model.values(*state)
        side = torch.where(error > 0, config.expectile, 1 - config.expectile)
        weight = (config.temperature * error.detach().mean(0)).exp().clamp(max=10.0)
        missed = F.smooth_l1_loss(model.prior(*state), bench.actions(here), reduction="none")
        with torch.no_grad():
            for old, new in zip(target.parameters(), model.critics.parameters(), strict=True):
                old.lerp_(new, 0.01)
        return {
            "value": (side * error.square()).sum(0).mean(),
            "prior": (weight[:, None] * missed * known).sum(-1).mean(),
        }

    parameters = [*model.critics.parameters(), *model.prior_net.parameters()]
    bench.optimise("value", parameters, config.steps, config.learning_rate, losses)


def hindsight_goals(
    bench: Workbench, config: ValueTraining, here: Tensor, last: Tensor, everywhere: Tensor
) -> tuple[Tensor, Tensor]:
    """Goals, mostly a later frame of the same episode, else any; and whether the arm counts."""
    later = torch.minimum(here + bench.ahead(config.goal_rate, len(here)), last[here])
    anywhere = bench.draw(everywhere, len(here))
    goal = torch.where(bench.uniform(len(here)) < config.random_goals, anywhere, later)
    return goal, bench.uniform(len(here)) < config.arm_goals
