"""Training what predicts proprioception, and how far it errs.

Rollouts of a few steps, as planning makes them, on standardised states. Nothing is trained where
poses are composed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from pydantic.dataclasses import dataclass as checked
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.recordings import Recordings
from worldmodel.predictors.proprioception import ProprioPredictor, imagined_states
from worldmodel.settings import CHECKED, Batch, Frames, LearningRate, Steps, Weight

__all__ = ["StateErrors", "StateModelTraining", "state_errors", "state_losses"]


@checked(frozen=True, config=CHECKED)
class StateModelTraining:
    """How the state model is trained; see `state_losses`.

    Attributes:
        steps: Optimiser steps; 0 leaves it as it is.
        batch: Windows per step.
        rollout: Imagined steps of a window.
        noise: Standard deviation of what is added to the first features of a window.
        learning_rate: Its peak.
    """

    steps: Steps = 3000
    batch: Batch = 256
    rollout: Frames = 5
    noise: Weight = 0.01
    learning_rate: LearningRate = 1e-3


def state_losses(
    model: ProprioPredictor,
    data: Recordings,
    config: StateModelTraining,
    stride: int,
    generator: torch.Generator,
) -> Callable[[], dict[str, Tensor]]:
    """What draws a batch of windows and says how far the state model errs along them."""
    assert model.state_model is not None
    predict = model.state_model
    longest = (int(data.lengths[data.train].max()) - 1) // stride
    rollout = max(1, min(config.rollout, longest))
    rows = data.rows(data.train, rollout * stride + 1)
    with torch.no_grad():
        features, scaled = model.state_features(data.states), model.scale_actions(data.actions)

    def losses() -> dict[str, Tensor]:
        first = rows[torch.randint(len(rows), (config.batch,), generator=generator)]
        frames = first[:, None] + stride * torch.arange(rollout + 1)
        truth = features[frames]
        actions = scaled[frames[:, :-1, None] + torch.arange(stride)].flatten(-2)
        now = truth[:, 0] + config.noise * torch.randn(truth[:, 0].shape, generator=generator)
        imagined: list[Tensor] = []
        for k in range(rollout):
            now = predict(now, actions[:, k])
            imagined.append(now)
        error = F.smooth_l1_loss(torch.stack(imagined, 1), truth[:, 1:], beta=0.1)
        return {"state": error}

    return losses


@dataclass(frozen=True)
class StateErrors:
    """How far imagined proprioception is from what was recorded, in sd of the data.

    Attributes:
        control_steps: How far ahead.
        error: Root mean square over features and held-out windows.
        held: The same if the start's state is held still.
    """

    control_steps: tuple[int, ...]
    error: tuple[float, ...]
    held: tuple[float, ...]


@torch.inference_mode()
def state_errors(
    model: ProprioPredictor, data: Recordings, stride: int, steps: int = 10, windows: int = 4000
) -> StateErrors | None:
    """Imagine along recorded actions of held-out episodes; None without proprioception."""
    if not model.state_features.width:
        return None
    steps = max(1, min(steps, (int(data.lengths[data.held_out].max()) - 1) // stride))
    firsts = data.rows(data.held_out, steps * stride + 1)
    firsts = firsts[torch.randperm(len(firsts), generator=torch.Generator().manual_seed(0))]
    frames = firsts[:windows, None] + stride * torch.arange(steps + 1)
    device = model.state_features.mean.device
    taken = data.actions[frames[:, :-1, None] + torch.arange(stride)].flatten(1, 2).to(device)
    states = data.states[frames].to(device)
    imagined = imagined_states(model, states[:, :1], taken[:, None], stride).features[:, 0]
    truth = model.state_features(states)
    still = truth[:, :1].expand_as(truth)
    errors = (
        (path - truth)[:, 1:].square().mean((0, 2)).sqrt().cpu() for path in (imagined, still)
    )
    return StateErrors(
        tuple((frames[0, 1:] - frames[0, 0]).tolist()), *(tuple(e.tolist()) for e in errors)
    )
