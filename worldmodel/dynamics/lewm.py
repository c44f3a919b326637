"""Training LeWorldModel: encoder and predictor together, from pixels and actions alone.

Two terms (Maes et al. 2026, arXiv:2603.19312, section 3): the mean squared error of the next
latents under teacher forcing, and SIGReg on the latents, moment by moment. Gradients pass through
targets as well: there is neither a moving average nor a stopped gradient. This is the one training
of a world that runs the encoder; once it is over the encoder is as frozen as any.

Shapes: B windows of T = history + 1 frames, D latent width, A action.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from worldmodel.dynamics.inverse import InverseTraining
from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.state_model import StateModelTraining, state_losses
from worldmodel.dynamics.validation import OpenLoop, compare
from worldmodel.encoders.lewm import LewmEncoder
from worldmodel.nn.decay import decay_groups
from worldmodel.precision import rounded
from worldmodel.predictors.lewm import LewmPredictor
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.pretraining.clips import Clips, ClipSampler
from worldmodel.pretraining.sigreg import sigreg_loss
from worldmodel.schedule import cosine_with_warmup, rising_cosine
from worldmodel.settings import (
    CHECKED,
    Batch,
    Count,
    LearningRate,
    Positive,
    Seed,
    Share,
    Steps,
    Weight,
)
from worldmodel.training_log import TrainingLog
from worldmodel.training_loop import TrainingLoop
from worldmodel.training_state import TrainingState

__all__ = ["LewmWorldTraining", "lewm_losses", "open_loop_lewm", "train_lewm", "train_state_model"]

_REACH, _KNOTS = 3.0, 17  # of SIGReg's quadrature, as in LeWorldModel


@dataclass(frozen=True, config=CHECKED)
class LewmWorldTraining:
    """How LeWorldModel is trained; ``predictor=lewm_published`` sets it as published.

    Attributes:
        steps: Optimiser steps.
        batch: Windows per step; SIGReg tests the latents of so many frames at once.
        learning_rate: Peak of the cosine schedule.
        warmup: Share of the steps that the learning rate rises.
        weight_decay: Of AdamW, on matrices only.
        clip: Largest norm of the gradient.
        sigreg_weight: λ, the one weight of the loss.
        directions: Random ones along which SIGReg looks in a step.
        bf16: Run matrix products in bfloat16; None does so where the device has them.
        log_every: Steps between log entries.
        save_every: Steps between saved training states.
        state_model: What predicts proprioception, afterwards and apart.
        inverse: The inverse model, likewise.
        seed: Of initialisation, the order of windows and all else that is drawn.
    """

    steps: Steps = 1500
    batch: Annotated[Batch, Field(ge=2)] = 64
    learning_rate: LearningRate = 1e-3
    warmup: Share = 0.05
    weight_decay: Weight = 1e-3
    clip: Positive = 1.0
    sigreg_weight: Weight = 0.09
    directions: Count = 256
    bf16: bool | None = None
    log_every: Count = 20
    save_every: Count = 200
    state_model: StateModelTraining = field(default_factory=StateModelTraining)
    inverse: InverseTraining = field(default_factory=InverseTraining)
    seed: Seed = 0


def lewm_losses(
    encoder: LewmEncoder,
    predictor: LewmPredictor,
    clips: Clips,
    rng: np.random.Generator,
    directions: int,
) -> dict[str, Tensor]:
    """Both terms on windows, unweighted.

    Args:
        encoder: Sees every frame.
        predictor: Sees all latents of a window but the last.
        clips: The windows.
        rng: Decides the directions of SIGReg.
        directions: How many.
    """
    latents = encoder.latents(clips.frames)
    predicted = predictor(latents[:, :-1], clips.actions)
    return {
        "prediction": (predicted.float() - latents[:, 1:].float()).square().mean(),
        "sigreg": sigreg_loss(latents.transpose(0, 1), rng, directions, _REACH, _KNOTS),
    }


def train_lewm(
    encoder: LewmEncoder,
    predictor: LewmPredictor,
    windows: ClipSampler,
    config: LewmWorldTraining,
    state: TrainingState,
    device: torch.device,
) -> None:
    """Train both in place; they are in evaluation mode afterwards.

    Whatever is drawn depends on (seed, step) alone, so a killed run, called again, goes on to the
    same weights.

    Raises:
        UserError: A loss was not finite; the state saved before it stays.
    """
    both = nn.ModuleDict({"encoder": encoder, "predictor": predictor}).to(device)
    if config.steps:
        predictor.inverse.trained.fill_(False)  # it knew other latents

    def losses(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((config.seed, step))
        clips = windows.sample(rng, config.batch).to(device)
        torch.manual_seed(int(rng.integers(2**63)))  # of dropout
        with rounded(device, config.bf16), _statistics_kept(both):
            return lewm_losses(encoder, predictor, clips, rng, config.directions)

    loop = TrainingLoop(
        "Training of the world",
        torch.optim.AdamW(decay_groups(both.parameters(), config.weight_decay), foreach=True),
        losses,
        config.steps,
        config.learning_rate,
        lambda step: cosine_with_warmup(step, config.steps, config.warmup),
        weights={"prediction": 1.0, "sigreg": config.sigreg_weight},
        clip=config.clip,
    )
    start = 0
    if (saved := state.load(device)) is not None:
        both.load_state_dict(saved["model"])
        start = loop.load_state_dict(saved)
    both.train()
    with TrainingLog(state.folder, "train", total=config.steps, start=start) as log:
        for step in loop:
            log.advance()
            if step % config.log_every == 0 or step == config.steps:
                log.write(step, loop.figures())
            if step % config.save_every == 0 or step == config.steps:
                loop.require_finite()
                state.save({**loop.state_dict(), "model": both.state_dict()})
    both.eval()


@contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """Batch statistics are used and not counted where a step is merely checked.

    In evaluation mode a check would ask for other losses than the next step has.
    """
    if torch.is_grad_enabled():
        yield
        return
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    yield
    for name, buffer in model.named_buffers():
        buffer.copy_(kept[name])


def train_state_model(
    predictor: LewmPredictor, data: Recordings, config: StateModelTraining
) -> None:
    """What predicts proprioception, which is small, on the CPU; nothing where there is none."""
    if (predict := predictor.state_model) is None or not config.steps:
        return
    generator = torch.Generator().manual_seed(0)
    losses = state_losses(predictor, data, config, predictor.config.stride, generator)
    predict.train().requires_grad_(True)
    loop = TrainingLoop(
        "Training of the state model",
        torch.optim.AdamW(predict.parameters(), lr=config.learning_rate, weight_decay=1e-4),
        lambda _: losses(),
        config.steps,
        config.learning_rate,
        lambda step: rising_cosine(step, config.steps),
        clip=1.0,
    )
    for _ in loop:
        pass
    loop.require_finite(generator)
    predict.eval().requires_grad_(False)


@torch.inference_mode()
def open_loop_lewm(
    world: LewmWorld, data: Recordings, steps: int = 5, windows: int = 2000
) -> OpenLoop:
    """Validate on held-out episodes along recorded actions, as in planning from one frame.

    Args:
        world: The world.
        data: Its latents of the recordings; where held-out episodes are too short, steps shrink.
        steps: K.
        windows: At most so many.
    """
    stride, device = world.stride, next(world.predictor.parameters()).device
    longest = (int(data.lengths[data.held_out].max()) - 1) // stride
    steps = max(1, min(steps, longest))
    firsts = data.rows(data.held_out, steps * stride + 1)
    firsts = firsts[torch.randperm(len(firsts), generator=torch.Generator().manual_seed(0))]
    frames = firsts[:windows, None] + stride * torch.arange(steps + 1)
    asked = data.question(data.latents[:, 0], frames, stride)
    futures = world.rollout(*(part.to(device, torch.float32) for part in asked))
    return compare(futures.latents[:, 0].float().cpu(), frames, data, data.latents)
