"""Training the inverse model on frozen latents, and how far it errs.

Every later frame of an episode was reached by the actions taken, so it is a goal for them
(hindsight): a regression, which needs no world model and no reward. GC-IDM, arXiv:2605.08732.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.recordings import Recordings
from worldmodel.predictors.lewm import LewmPredictor
from worldmodel.schedule import rising_cosine
from worldmodel.settings import CHECKED, Batch, LearningRate, Steps, Weight
from worldmodel.training_loop import TrainingLoop

__all__ = ["InverseErrors", "InverseTraining", "inverse_errors", "train_inverse"]


@checked(frozen=True, config=CHECKED)
class InverseTraining:
    """How the inverse model is trained.

    Attributes:
        steps: Optimiser steps; 0 leaves it as it is.
        batch: Pairs of a frame and a goal per step.
        learning_rate: Its peak.
        weight_decay: Of AdamW.
    """

    steps: Steps = 3000
    batch: Batch = 256
    learning_rate: LearningRate = 1e-3
    weight_decay: Weight = 1e-2


def train_inverse(predictor: LewmPredictor, data: Recordings, config: InverseTraining) -> None:
    """Train it in place, on the CPU: it is small. It is in evaluation mode afterwards.

    Raises:
        UserError: A loss was not finite, or no episode holds an imagined step.
    """
    if not config.steps:
        return
    model = predictor.inverse
    generator = torch.Generator().manual_seed(0)
    drawn = _pairs(predictor, data, data.train, config.batch, generator)

    def losses(_: int) -> dict[str, Tensor]:
        latents, goals, left, actions = drawn()
        return {"inverse": F.mse_loss(model(latents, goals, left), actions)}

    model.train().requires_grad_(True)
    loop = TrainingLoop(
        "Training of the inverse model",
        torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        ),
        losses,
        config.steps,
        config.learning_rate,
        lambda step: rising_cosine(step, config.steps),
        clip=1.0,
    )
    for _ in loop:
        pass
    loop.require_finite(generator)
    model.trained.fill_(True)
    model.eval().requires_grad_(False)


@dataclass(frozen=True)
class InverseErrors:
    """How far its actions are from those taken, in held-out episodes and scaled actions.

    Attributes:
        left: Imagined steps until the goal.
        error: Root mean square.
        mean: The same if the mean action is always taken.
    """

    left: tuple[int, ...]
    error: tuple[float, ...]
    mean: tuple[float, ...]


@torch.inference_mode()
def inverse_errors(
    predictor: LewmPredictor, data: Recordings, pairs: int = 20000
) -> InverseErrors | None:
    """Ask for the actions of held-out episodes; None where it was not trained."""
    model = predictor.inverse
    if not model.trained:
        return None
    generator = torch.Generator().manual_seed(0)
    latents, goals, left, actions = _pairs(predictor, data, data.held_out, pairs, generator)()
    wrong, spread = model(latents, goals, left) - actions, actions - actions.mean(0)
    seen = [k for k in range(1, model.ahead + 1) if (left == k).any()]
    errors = ([float(of[left == k].square().mean().sqrt()) for k in seen] for of in (wrong, spread))
    return InverseErrors(tuple(seen), *(tuple(found) for found in errors))


def _pairs(
    predictor: LewmPredictor,
    data: Recordings,
    episodes: NDArray[np.int64],
    count: int,
    generator: torch.Generator,
) -> Callable[[], tuple[Tensor, Tensor, Tensor, Tensor]]:
    """What draws frames, goals up to ``ahead`` blocks later in their episodes, and what was done.

    Latents ``[R, D]`` of both, blocks between them ``[R]``, scaled actions ``[R, stride * A]``.
    """
    stride, ahead = predictor.config.stride, predictor.inverse.ahead
    rows, last = data.rows(episodes, stride + 1), data.last_rows()
    with torch.no_grad():
        scaled = predictor.scale_actions(data.actions)

    def draw() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        first = rows[torch.randint(len(rows), (count,), generator=generator)]
        most = ((last[first] - first) // stride).clamp(max=ahead)
        left = 1 + (torch.rand(count, generator=generator) * most).long()
        latents, goals = (data.latents[at, 0].float() for at in (first, first + stride * left))
        taken = scaled[first[:, None] + torch.arange(stride)].flatten(1)
        return latents, goals, left, taken

    return draw
