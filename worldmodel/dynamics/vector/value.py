"""Stage 5, goal-conditioned value from hindsight goals, without rewards or labels.

It is action-free IQL: expectile regression to one-step backups (Kostrikov et al., arXiv:2110.06169;
without actions as in HIQL, arXiv:2307.11949). Half of the goals are scenes, reached wherever the
arm is; the other half count the arm as well.

A planner takes what seems best, errors included. So there are several critics, each with targets of
its own, whose spread says where the value is a guess.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.nn.mlp import StackedMLP
from worldmodel.settings import (
    CHECKED,
    Batch,
    LearningRate,
    ProperShare,
    Rate,
    Share,
    Steps,
    Weight,
)

__all__ = ["ValueTraining", "backups", "hindsight_goals", "train_value"]


@dataclass(frozen=True, config=CHECKED)
class ValueTraining:
    """How the value is trained; see `train_value`.

    Attributes:
        steps: Optimiser steps; 0 leaves it as it is.
        batch: Transitions per step.
        discount: Per imagined step.
        expectile: Of the value regression.
        goal_rate: Of the geometric distribution of frames to a hindsight goal.
        episode_goals: Share of goals taken from anywhere in the episode, its past included: a way
            back begins on the other side of objects.
        random_goals: Share of goals taken from anywhere in the data.
        proprio_goals: Share of goals that count the arm.
        proprio_near: Distance of the arm's features, each of unit variance, that counts as there.
        learning_rate: Its peak.

    Raises:
        ValueError: ``episode_goals`` and ``random_goals`` add up to more than 1.
    """

    steps: Steps = 14000
    batch: Batch = 512
    discount: ProperShare = 0.95
    expectile: ProperShare = 0.8
    goal_rate: Rate = 0.06
    episode_goals: Share = 0.3
    random_goals: Share = 0.2
    proprio_goals: Share = 0.5
    proprio_near: Weight = 0.4
    learning_rate: LearningRate = 5e-4

    def __post_init__(self) -> None:
        if self.episode_goals + self.random_goals > 1:
            raise ValueError(
                "Expected episode_goals and random_goals, shares of the same goals, to add up to "
                f"at most 1, got {self.episode_goals} and {self.random_goals}"
            )


def train_value(run: TrainingRun, config: ValueTraining) -> None:
    """Train the critics, each towards targets of its own."""
    model = run.model
    rows, last = run.data.rows(run.data.train, run.stride + 1), run.data.last_rows()
    everywhere = run.data.rows(run.data.train)
    target = deepcopy(model.critics).requires_grad_(False)

    def losses() -> dict[str, Tensor]:
        here = run.draw(rows, config.batch)
        goal, with_proprio = hindsight_goals(run, config, here, last, everywhere)
        goals = run.goals(goal, with_proprio)
        td_target = backups(run, config, target, here, goal, with_proprio)
        error = td_target - model.values(run.object_latents[here], run.features[here], goals)
        side = torch.where(error > 0, config.expectile, 1 - config.expectile)
        with torch.no_grad():
            for old, new in zip(target.parameters(), model.critics.parameters(), strict=True):
                old.lerp_(new, 0.01)
        return {"value": (side * error.square()).sum(0).mean()}

    run.optimise("value", model.critics.parameters(), config, losses)


@torch.no_grad()
def backups(
    run: TrainingRun,
    config: ValueTraining,
    critics: StackedMLP,
    here: Tensor,
    goal: Tensor,
    with_proprio: Tensor,
) -> Tensor:
    """Temporal-difference targets of each of V critics, ``[V, B]``: -1 a step until the goal.

    Args:
        run: Whose object latents, features and goals.
        config: Its discount, and how near the arm counts as there.
        critics: The values that are bootstrapped.
        here: Rows of the moments, ``[B]``; the next is an imagined step after.
        goal: Rows of their goals, ``[B]``.
        with_proprio: Whether the arm counts, ``[B]``.
    """
    there = here + run.stride
    goals = run.goals(goal, with_proprio)
    after = torch.cat([run.object_latents[there], run.features[there], goals], -1)
    following = critics(after.expand(run.model.config.critics, -1, -1)).squeeze(-1)
    arrived, is_there = (
        run.shows(frames, goal, with_proprio, config.proprio_near) for frames in (there, here)
    )
    return torch.where(is_there, 0.0, -1.0 + config.discount * following.where(~arrived, 0.0))


def hindsight_goals(
    run: TrainingRun, config: ValueTraining, here: Tensor, last: Tensor, everywhere: Tensor
) -> tuple[Tensor, Tensor]:
    """Rows of goals ``[B]``, mostly ahead in the episode, and whether the arm counts, ``[B]``."""
    ahead = torch.minimum(here + run.ahead(config.goal_rate, len(here)), last[here])
    first = run.first[here]
    within = first + (run.uniform(len(here)) * (last[here] - first + 1)).long()
    anywhere = run.draw(everywhere, len(here))
    kind = run.uniform(len(here))
    goal = torch.where(kind < config.random_goals + config.episode_goals, within, ahead)
    goal = torch.where(kind < config.random_goals, anywhere, goal)
    return goal, run.uniform(len(here)) < config.proprio_goals
