"""Offline validation of predictors on held-out episodes, and calibration of their uncertainties."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.dynamics.probe import fit_probe
from worldmodel.dynamics.recordings import Recordings
from worldmodel.finite import NotFiniteError, not_finite, remedy
from worldmodel.predictors.imagination import Imagined, calibrated_uncertainties, imagine
from worldmodel.predictors.uncertainty import STEPS
from worldmodel.predictors.vector import VectorPredictor

__all__ = ["OpenLoop", "calibrate", "compare", "open_loop"]

_MOVED = 0.2  # of their spread that objects must move in a window to count as moved


@dataclass(frozen=True)
class OpenLoop:
    """What k-step open-loop prediction is worth, one number per imagined step.

    Attributes:
        control_steps: How far ahead.
        latent_error: Mean squared error of the imagined latents.
        copy_error: The same if the last seen frame is copied.
        object_cm: Error of the objects' positions as read from imagined latents, in windows in
            which they move by a fifth of their spread or more; empty without privileged positions.
            The probe that reads it is fitted to true latents of training episodes.
        object_copy_cm: The same if the last seen frame is copied.
        object_true_cm: The same on the true future's latents: what the probe itself gets wrong.
    """

    control_steps: tuple[int, ...]
    latent_error: tuple[float, ...]
    copy_error: tuple[float, ...]
    object_cm: tuple[float, ...]
    object_copy_cm: tuple[float, ...]
    object_true_cm: tuple[float, ...]


def _windows(model: VectorPredictor, data: Recordings, steps: int, windows: int) -> Tensor:
    """Rows ``[R, K + 1]`` of held-out windows, the same ones every time."""
    stride = model.config.stride
    firsts = data.rows(data.held_out, steps * stride + 1)
    firsts = firsts[torch.randperm(len(firsts), generator=torch.Generator().manual_seed(0))]
    return firsts[:windows, None] + stride * torch.arange(steps + 1)


def _futures(model: VectorPredictor, data: Recordings, latents: Tensor, frames: Tensor) -> Imagined:
    """What is imagined along windows: as many episodes, of one candidate each."""
    return imagine(model, *data.question(latents, frames, model.config.stride))


@torch.inference_mode()
def calibrate(
    model: VectorPredictor, data: Recordings, latents: Tensor, windows: int = 4000
) -> None:
    """Store the 90 % and 99 % quantiles of all uncertainties on held-out episodes in the model.

    Steps beyond the longest held-out window keep the last one's.

    Args:
        model: Whose uncertainties.
        data: Where the held-out episodes are.
        latents: Planning latents of all rows, ``[F, Z]``.
        windows: How many to take.

    Raises:
        NotFiniteError: An uncertainty is not finite.
    """
    longest = int(data.lengths[data.held_out].max()) - 1
    steps = min(STEPS, longest // model.config.stride)
    futures = _futures(model, data, latents, _windows(model, data, steps, windows))
    for name, known in calibrated_uncertainties(model).items():
        uncertainty = known.uncertainty(futures).squeeze(1)
        _require_finite(f"the uncertainty '{name}'", uncertainty)
        for buffer, quantile in ((known.q90, 0.9), (known.q99, 0.99)):
            buffer[:steps] = uncertainty.quantile(quantile, dim=0)
            buffer[steps:] = buffer[steps - 1]
        # So few windows that both quantiles are of one: the unit is then a tenth of it.
        least = known.q90 + (0.1 * known.q90.abs()).clamp(min=1e-6)
        known.q99.copy_(torch.where(known.q99 > known.q90, known.q99, least))


@torch.inference_mode()
def open_loop(
    model: VectorPredictor, data: Recordings, latents: Tensor, steps: int = 4, windows: int = 4000
) -> OpenLoop:
    """Validate on held-out episodes; planning latents ``[F, Z]`` of all rows are given."""
    frames = _windows(model, data, steps, windows)
    imagined = model.object_latents(_futures(model, data, latents, frames).latents.squeeze(1))
    return compare(imagined, frames, data, model.object_latents(latents).unsqueeze(1))


@torch.inference_mode()
def compare(imagined: Tensor, frames: Tensor, data: Recordings, latents: Tensor) -> OpenLoop:
    """Hold imagined latents against the recorded ones.

    Args:
        imagined: ``[R, K, N, D]``.
        frames: Rows of the last seen frame and of the true futures, ``[R, K + 1]``.
        data: Where the rows are.
        latents: Of all rows, ``[F, N, D]``.

    Raises:
        NotFiniteError: What is imagined, or the recorded latents, are not finite.
    """
    truth, last = latents[frames[:, 1:]].float(), latents[frames[:, :1]].float()
    _require_finite("imagined latents", imagined)
    _require_finite("recorded latents", truth)
    errors: dict[str, list[float]] = {"object": [], "copy": [], "true": []}
    if data.objects is not None:
        probe = fit_probe(latents, data.objects, data.rows(data.train))
        positions, least = data.objects[frames], _MOVED * data.objects_spread
        for k in range(imagined.shape[1]):
            moved = (positions[:, k + 1] - positions[:, 0]).norm(dim=-1) > least
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


def _require_finite(what: str, found: Tensor) -> None:
    if not_finite({what: found}):
        raise NotFiniteError(
            f"The trained model fails on held-out episodes: expected finite numbers as {what}, got "
            f"NaN or infinities. {remedy()}."
        )
