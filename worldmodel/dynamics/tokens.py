"""Training and validating the token predictor on cached latents (V-JEPA 2-AC, section 3.1).

L1 on layer-normed latents: teacher forcing over whole windows, plus an open-loop rollout of a few
steps from the context, compared with the frame each step is of.
"""

from __future__ import annotations

from dataclasses import field

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.state_model import StateModelTraining, state_losses
from worldmodel.dynamics.validation import OpenLoop, compare
from worldmodel.nn.decay import decay_groups
from worldmodel.precision import rounded
from worldmodel.predictors.proprioception import imagined_states
from worldmodel.predictors.tokens import TokenPredictor
from worldmodel.schedule import rising_cosine, warmup_constant_decay
from worldmodel.settings import (
    CHECKED,
    Batch,
    Count,
    Frames,
    LearningRate,
    Seed,
    Share,
    Steps,
    Weight,
)
from worldmodel.training_log import TrainingLog
from worldmodel.training_loop import TrainingLoop
from worldmodel.training_state import TrainingState

__all__ = [
    "TokenTraining",
    "open_loop_tokens",
    "token_losses",
    "train_tokens",
    "unroll",
]

_MEMORY = 2 * 2**30
"""Bytes, by estimate, within which validation imagines."""


@dataclass(frozen=True, config=CHECKED)
class TokenTraining:
    """How the token predictor is trained (arXiv:2506.09985, section 3.1).

    ``predictor=vjepa2_ac`` sets it as published.

    Attributes:
        steps: Optimiser steps.
        batch: Windows per step.
        parts: In how many parts the gradient of a batch is computed, one after the other, to the
            same sum: more take less memory.
        frames: Frames of a window; None for those of the rollout and its context.
        rollout: Open-loop steps of the rollout loss; 2 was found best in simulation, 6 on DROID.
        rollout_context: Frames that the rollout starts from, 1 in V-JEPA 2-AC; None for all before
            the last ``rollout`` ones of a window.
        learning_rate: Its peak.
        warmup: Share of the steps that the learning rate rises.
        warmup_start: Where it begins to rise, as a share of the peak.
        decay: Share of the steps, the last ones, that the learning rate falls to 0.
        weight_decay: Of AdamW, on matrices only.
        bf16: Run matrix products in bfloat16; None does so where the device has them.
        checkpointing: Keep no activations within blocks, and compute them again for the gradient.
        log_every: Steps between log entries.
        save_every: Steps between saved training states.
        state_model: What predicts proprioception that is not composed, before all else.
        seed: Of initialisation and the order of windows.

    Raises:
        ValueError: ``parts`` do not divide ``batch``, or ``frames`` do not hold the rollout.
    """

    steps: Steps = 2000
    batch: Batch = 16
    parts: Count = 1
    frames: Frames | None = None
    rollout: Frames = 2
    rollout_context: Frames | None = None
    learning_rate: LearningRate = 1e-3
    warmup: Share = 0.05
    warmup_start: Share = 0.0
    decay: Share = 0.95
    weight_decay: Weight = 0.04
    bf16: bool | None = None
    checkpointing: bool = False
    log_every: Count = 20
    save_every: Count = 200
    state_model: StateModelTraining = field(default_factory=StateModelTraining)
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.batch % self.parts:
            raise ValueError(
                f"Expected a batch that {self.parts} parts divide evenly, got {self.batch}."
            )
        if self.frames is not None and self.frames < self.rollout + (self.rollout_context or 1):
            raise ValueError(
                f"Expected windows that hold a rollout of {self.rollout} steps and its context of "
                f"{self.rollout_context or 1}, got frames={self.frames}."
            )

    def window(self, context_frames: int) -> int:
        """Frames of a window for a model that looks back on so many."""
        return self.frames or (self.rollout_context or context_frames) + self.rollout


def unroll(
    model: TokenPredictor,
    latents: Tensor,
    actions: Tensor,
    states: Tensor,
    steps: int,
    extrinsics: Tensor | None = None,
) -> Tensor:
    """Imagine ``steps`` frames after the T context frames, along recorded actions and states.

    Args:
        model: The predictor.
        latents: Context, ``[B, T, N, D]``.
        actions: ``[B, T - 1 + steps, A]`` at least.
        states: ``[B, T - 1 + steps, P]`` at least.
        steps: K.
        extrinsics: Poses of the camera, ``[B, T - 1 + steps, 6]`` at least, if the model uses them.

    Returns:
        ``[B, K, N, D]``.
    """
    last = latents.shape[1] - 1
    caches = model.prefill(latents[:, :-1], actions, states, extrinsics)
    hidden, imagined = latents[:, -1], list[Tensor]()
    for t in range(last, last + steps):
        camera = None if extrinsics is None else extrinsics[:, t]
        hidden = model.advance(hidden, actions[:, t], states[:, t], t, caches, camera)
        imagined.append(hidden)
    return torch.stack(imagined, 1)


def token_losses(
    model: TokenPredictor,
    latents: Tensor,
    actions: Tensor,
    states: Tensor,
    rollout: int,
    context: int | None = None,
    extrinsics: Tensor | None = None,
) -> dict[str, Tensor]:
    """Both losses of V-JEPA 2-AC (§3.1) on windows of T frames, and one action each.

    Args:
        model: The predictor.
        latents: ``[B, T, N, D]``.
        actions: ``[B, T - 1, A]`` at least.
        states: ``[B, T - 1, P]`` at least.
        rollout: Steps of the rollout loss.
        context: Frames that the rollout starts from: 1 in V-JEPA 2-AC, whose windows go on after
            the rollout; by default all but the last ``rollout``.
        extrinsics: Poses of the camera, ``[B, T - 1, 6]`` at least, if the model uses them.
    """
    steps = latents.shape[1] - 1
    camera = None if extrinsics is None else extrinsics[:, :steps]
    forced = model.teacher_forced(latents[:, :-1], actions[:, :steps], states[:, :steps], camera)
    start = latents.shape[1] - rollout if context is None else context
    imagined = unroll(model, latents[:, :start], actions, states, rollout, extrinsics)
    return {
        "teacher_forcing": (forced.float() - latents[:, 1:]).abs().mean(),
        "rollout": (imagined.float() - latents[:, start : start + rollout]).abs().mean(),
    }


def train_tokens(
    model: TokenPredictor, data: Recordings, config: TokenTraining, state: TrainingState
) -> None:
    """Train in place, on the model's device; it is in evaluation mode afterwards.

    A killed run, called again with an equal model, goes on to the same weights.

    Raises:
        UserError: A loss was not finite; the state saved before it stays.
    """
    device, generator = _device(model), torch.Generator().manual_seed(config.seed)
    saved = state.load()
    if saved is None:
        _train_state_model(model, data, config.state_model)
    frames = config.window(model.config.context_frames)
    firsts, camera = data.rows(data.train, frames), _camera(model, data)

    def losses(_: int) -> dict[str, Tensor]:
        drawn = torch.randint(len(firsts), (config.batch // config.parts,), generator=generator)
        window = firsts[drawn].unsqueeze(1) + torch.arange(frames)
        with rounded(device, config.bf16):
            return token_losses(
                model,
                data.latents[window].to(device).float(),
                data.actions[window].to(device),
                data.states[window].to(device),
                config.rollout,
                config.rollout_context,
                None if camera is None else camera[window].to(device),
            )

    loop = TrainingLoop(
        "Training of the token predictor",
        torch.optim.AdamW(decay_groups(model.parameters(), config.weight_decay)),
        losses,
        config.steps,
        config.learning_rate,
        lambda step: warmup_constant_decay(
            step, config.steps, config.warmup, config.decay, config.warmup_start
        ),
        parts=config.parts,
    )
    start = 0
    if saved is not None:
        model.load_state_dict(saved["model"])
        generator.set_state(saved["generator"])
        start = loop.load_state_dict(saved)
    model.checkpointing = config.checkpointing
    model.train()
    with TrainingLog(state.folder, "train", total=config.steps, start=start) as log:
        for step in loop:
            log.advance()
            if step % config.log_every == 0 or step == config.steps:
                log.write(step, loop.figures())
            if step % config.save_every == 0 or step == config.steps:
                loop.require_finite(generator)
                state.save(
                    {
                        **loop.state_dict(),
                        "model": model.state_dict(),
                        "generator": generator.get_state(),
                    }
                )
    model.checkpointing = False
    model.eval()


def _train_state_model(model: TokenPredictor, data: Recordings, config: StateModelTraining) -> None:
    """On the CPU, for it is small."""
    predict, device = model.state_model, _device(model)
    if predict is None or not config.steps:
        return
    model.cpu()
    generator = torch.Generator().manual_seed(0)
    losses = state_losses(model, data, config, 1, generator)
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
    model.to(device)


def _device(model: TokenPredictor) -> torch.device:
    return model.predictor_embed.weight.device


def _camera(model: TokenPredictor, data: Recordings) -> Tensor | None:
    """Poses of the camera ``[F, 6]``, if the model uses them."""
    return data.extrinsics if model.config.extrinsics else None


@torch.inference_mode()
def open_loop_tokens(
    model: TokenPredictor, data: Recordings, steps: int = 8, windows: int = 512, batch: int = 64
) -> OpenLoop:
    """Validate on held-out episodes along recorded actions.

    As in planning, states are only imagined, and the camera stands still from the last seen frame.

    Args:
        model: The predictor.
        data: Where held-out episodes are too short for steps or context, these shrink.
        steps: K.
        windows: At most so many, and no more than make a GiB of latents.
        batch: At most so many at once, and no more than take `_MEMORY`.

    Raises:
        UserError: No held-out episode has two frames.
    """
    longest = int(data.lengths[data.held_out].max())
    context = min(model.config.context_frames, max(1, longest - steps))
    steps, camera = min(steps, max(1, longest - context)), _camera(model, data)
    windows = min(windows, max(1, 2**30 // (4 * steps * data.latents[0].numel())))
    batch = min(batch, max(1, _MEMORY // model.bytes_per_row(context + steps)))
    firsts = data.rows(data.held_out, context + steps)
    order = torch.randperm(len(firsts), generator=torch.Generator().manual_seed(0))
    frames = firsts[order[:windows]].unsqueeze(1) + torch.arange(context + steps)
    device, imagined = _device(model), list[Tensor]()
    for part in frames.split(batch):
        latents = data.latents[part[:, :context]].to(device).float()
        actions = data.actions[part].to(device)
        seen = data.states[part[:, :context]].to(device)
        future = imagined_states(model, seen[:, -1:], actions[:, None, context - 1 :])
        states = torch.cat((seen, future.states[:, 0, 1:]), dim=1)
        still = part.minimum(part[:, context - 1 : context])
        poses = None if camera is None else camera[still].to(device)
        imagined.append(unroll(model, latents, actions, states, steps, poses).cpu())
    return compare(torch.cat(imagined), frames[:, context - 1 :], data, data.latents)
