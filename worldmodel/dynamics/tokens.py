"""Training and validating the token predictor on cached latents (V-JEPA 2-AC, section 3.1).

L1 on layer-normed latents: teacher forcing over whole windows, plus an open-loop rollout of a few
steps from the context, compared with the frame each step is of.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.validation import OpenLoop, compare
from worldmodel.predictors.scaling import imagined_states
from worldmodel.predictors.tokens import TokenPredictor
from worldmodel.schedule import cosine_with_warmup
from worldmodel.training_log import TrainingLog
from worldmodel.training_state import TrainingState

__all__ = ["TokenTraining", "open_loop_tokens", "token_losses", "train_tokens", "unroll"]


@dataclass(frozen=True)
class TokenTraining:
    """Settings.

    Attributes:
        steps: Optimiser steps.
        batch: Windows per step.
        rollout: Open-loop steps of the rollout loss; 2 was found best in simulation, 6 on DROID.
        learning_rate: Peak of the cosine schedule.
        warmup: Share of the steps that the learning rate rises.
        weight_decay: Of AdamW.
        log_every: Steps between log entries.
        save_every: Steps between saved training states.
        seed: Of the order of windows.
    """

    steps: int = 2000
    batch: int = 16
    rollout: int = 2
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.04
    log_every: int = 20
    save_every: int = 200
    seed: int = 0


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
        "teacher_forcing": (forced - latents[:, 1:]).abs().mean(),
        "rollout": (imagined - latents[:, start : start + rollout]).abs().mean(),
    }


def train_tokens(
    model: TokenPredictor, data: Recordings, config: TokenTraining, state: TrainingState
) -> None:
    """Train in place; the model is in evaluation mode afterwards.

    A killed run, called again with an equal model, goes on to the same weights.
    """
    generator = torch.Generator().manual_seed(config.seed)
    camera = _camera(model, data)
    rows = data.rows(data.train)
    model.scale_actions.fit(data.actions[rows])
    model.state_features.fit(data.states[rows])
    frames = model.config.context_frames + config.rollout
    firsts = data.rows(data.train, frames)
    optimizer = torch.optim.AdamW(
        model.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: cosine_with_warmup(step, config.steps, config.warmup)
    )
    start = 0
    if (saved := state.load()) is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        generator.set_state(saved["generator"])
        start = saved["step"]
    model.train()
    with TrainingLog(state.folder, "train", total=config.steps, start=start) as log:
        for step in range(start + 1, config.steps + 1):
            chosen = firsts[torch.randint(len(firsts), (config.batch,), generator=generator)]
            window = chosen.unsqueeze(1) + torch.arange(frames)
            losses = token_losses(
                model,
                data.latents[window].float(),
                data.actions[window],
                data.states[window],
                config.rollout,
                extrinsics=None if camera is None else camera[window],
            )
            optimizer.zero_grad(set_to_none=True)
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            schedule.step()
            log.advance()
            if step % config.log_every == 0 or step == config.steps:
                log.write(step, {name: float(loss.detach()) for name, loss in losses.items()})
            if step % config.save_every == 0 or step == config.steps:
                state.save(
                    {
                        "step": step,
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "schedule": schedule.state_dict(),
                        "generator": generator.get_state(),
                    }
                )
    model.eval()


def _camera(model: TokenPredictor, data: Recordings) -> Tensor | None:
    """Poses of the camera ``[F, 6]``, if the model uses them."""
    return data.extrinsics if model.config.extrinsics else None


@torch.inference_mode()
def open_loop_tokens(
    model: TokenPredictor, data: Recordings, steps: int = 8, windows: int = 512, batch: int = 64
) -> OpenLoop:
    """Validate on held-out episodes along recorded actions.

    As in planning, states are only imagined, and the camera stands still from the last seen frame.
    """
    context, camera = model.config.context_frames, _camera(model, data)
    firsts = data.rows(data.held_out, context + steps)
    order = torch.randperm(len(firsts), generator=torch.Generator().manual_seed(0))
    frames = firsts[order[:windows]].unsqueeze(1) + torch.arange(context + steps)
    imagined: list[Tensor] = []
    for part in frames.split(batch):
        latents, actions = data.latents[part[:, :context]].float(), data.actions[part]
        seen = data.states[part[:, :context]]
        future = imagined_states(
            seen[:, -1:], actions[:, None, context - 1 :], model.state_features
        )
        states = torch.cat((seen, future[:, 0, 1:]), dim=1)
        still = part.minimum(part[:, context - 1 : context])
        poses = None if camera is None else camera[still]
        imagined.append(unroll(model, latents, actions, states, steps, poses))
    return compare(torch.cat(imagined), frames[:, context - 1 :], data, data.latents)
