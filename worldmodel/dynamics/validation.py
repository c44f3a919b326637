"""Offline validation of predictors on held-out episodes, and calibration of its doubts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.dynamics.probe import fit_probe
from worldmodel.dynamics.recordings import Recordings
from worldmodel.predictors.compact import CompactPredictor

__all__ = ["OpenLoop", "calibrate", "compare", "open_loop"]

_MOVED = 0.02  # m that the object must move in a window to count as moved


@dataclass(frozen=True)
class OpenLoop:
    """What k-step open-loop prediction is worth, one number per imagined step.

    Attributes:
        control_steps: How far ahead.
        latent_error: Mean squared error of the imagined latents.
        copy_error: The same if the last seen frame is copied.
        object_cm: Error of the object's position as read from imagined latents, in windows in which
            the object moves by 2 cm or more; empty without privileged positions. The probe that
            reads it is fitted to true latents of training episodes.
        object_copy_cm: The same if the last seen frame is copied.
        object_true_cm: The same on the true future's latents: what the probe itself gets wrong.
    """

    control_steps: tuple[int, ...]
    latent_error: tuple[float, ...]
    copy_error: tuple[float, ...]
    object_cm: tuple[float, ...]
    object_copy_cm: tuple[float, ...]
    object_true_cm: tuple[float, ...]


@torch.inference_mode()
def _futures(
    model: CompactPredictor, data: Recordings, codes: Tensor, steps: int, windows: int
) -> tuple[Tensor, Tensor]:
    """Imagined codes ``[M, R, K, C]`` along held-out windows, and their rows ``[R, K + 1]``."""
    stride = model.config.stride
    firsts = data.rows(data.held_out, steps * stride + 1)
    firsts = firsts[torch.randperm(len(firsts), generator=torch.Generator().manual_seed(0))]
    frames = firsts[:windows, None] + stride * torch.arange(steps + 1)
    features = model.state_features(data.states[frames])
    taken = data.actions[frames[:, :-1, None] + torch.arange(stride)]
    chunks = model.scale_actions(taken).flatten(-2)
    following = codes[frames[:, 0]].expand(model.config.members, -1, -1)
    imagined: list[Tensor] = []
    for k in range(steps):
        following = model.dynamics(following, features[:, k], chunks[:, k])
        imagined.append(following)
    return torch.stack(imagined, 2), frames


@torch.inference_mode()
def calibrate(
    model: CompactPredictor, data: Recordings, codes: Tensor, windows: int = 4000
) -> None:
    """Store the 90 % and 99 % quantiles of held-out disagreement per imagined step in the model.

    Steps beyond the longest held-out window keep the last one's.
    """
    longest = int(data.lengths[data.held_out].max()) - 1
    steps = min(len(model.disagreement_q90), longest // model.config.stride)
    futures, _ = _futures(model, data, codes, steps, windows)
    disagreement = (futures - futures.mean(0)).square().mean((0, -1))
    for buffer, quantile in ((model.disagreement_q90, 0.9), (model.disagreement_q99, 0.99)):
        buffer[:steps] = disagreement.quantile(quantile, dim=0)
        buffer[steps:] = buffer[steps - 1]


@torch.inference_mode()
def open_loop(
    model: CompactPredictor, data: Recordings, codes: Tensor, steps: int = 4, windows: int = 4000
) -> OpenLoop:
    """Validate on held-out episodes; scene codes ``[F, C]`` of all frames are given."""
    futures, frames = _futures(model, data, codes, steps, windows)
    return compare(futures.mean(0).unsqueeze(2), frames, data, codes.unsqueeze(1))


@torch.inference_mode()
def compare(imagined: Tensor, frames: Tensor, data: Recordings, latents: Tensor) -> OpenLoop:
    """Hold imagined latents against the recorded ones.

    Args:
        imagined: ``[R, K, N, D]``.
        frames: Rows of the last seen frame and of the true futures, ``[R, K + 1]``.
        data: Where the rows are.
        latents: Of all rows, ``[F, N, D]``.
    """
    truth, last = latents[frames[:, 1:]].float(), latents[frames[:, :1]].float()
    errors: dict[str, list[float]] = {"object": [], "copy": [], "true": []}
    if data.objects is not None:
        probe = fit_probe(latents, data.objects, data.rows(data.train))
        positions = data.objects[frames]
        for k in range(imagined.shape[1]):
            moved = (positions[:, k + 1] - positions[:, 0]).norm(dim=-1) > _MOVED
            there = positions[moved, k + 1]
            seen = {"object": imagined[moved, k], "copy": last[moved, 0], "true": truth[moved, k]}
            for name, z in seen.items():
                errors[name].append(100 * float((probe(z) - there).norm(dim=-1).mean()))
    return OpenLoop(
        tuple((frames[0, 1:] - frames[0, 0]).tolist()),
        tuple((imagined - truth).square().mean((0, 2, 3)).tolist()),
        tuple((last - truth).square().mean((0, 2, 3)).tolist()),
        *(tuple(column) for column in errors.values()),
    )
