"""Rollouts of the vector predictor, and its uncertainties about them.

Shapes: B episodes, S candidates, H control steps, K = H / stride imagined steps, C object latent,
Z planning latent, A action, P state, M ensemble members; N = 1 token per frame.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from worldmodel.predictors.proprioception import imagined_states
from worldmodel.predictors.uncertainty import TERMS, Path, disagreement
from worldmodel.predictors.vector import VectorPredictor

__all__ = [
    "CalibratedUncertainty",
    "Imagined",
    "calibrated_uncertainties",
    "imagine",
    "imagined_path",
]


class _Rollout(Protocol):
    """What uncertainties read of a ``planners.protocols.Trajectory``; see `Imagined`."""

    @property
    def latents(self) -> Tensor: ...
    @property
    def actions(self) -> Tensor: ...
    @property
    def start_latents(self) -> Tensor: ...
    @property
    def start_states(self) -> Tensor: ...
    @property
    def members(self) -> Tensor | None: ...


class Imagined(NamedTuple):
    """Imagined futures; fulfils ``planners.protocols.Trajectory``.

    Attributes:
        latents: Imagined latents ``[B, S, K, N, D]``; D is Z and N is 1 of a vector predictor.
        states: States ``[B, S, K, P]``, physical units.
        actions: The actions that lead there, ``[B, S, H, A]``, physical units.
        start_latents: Latents before, ``[B, N, D]``.
        start_states: States before, ``[B, P]``.
        members: Object latents of each member, ``[M, B, S, K, C]``; None of a single one.
    """

    latents: Tensor
    states: Tensor
    actions: Tensor
    start_latents: Tensor
    start_states: Tensor
    members: Tensor | None = None


class CalibratedUncertainty(NamedTuple):
    """An uncertainty, and its usual values.

    Attributes:
        uncertainty: One number per imagined step, ``[B, S, K]``.
        q90: 90 % quantile on held-out data per imagined step, ``[STEPS]``.
        q99: 99 % quantile, likewise.
    """

    uncertainty: Callable[[_Rollout], Tensor]
    q90: Tensor
    q99: Tensor


def imagine(model: VectorPredictor, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
    """Imagine; only the last context frame is used. See ``planners.protocols.World``.

    Imagined object latents are the mean over members, whose own are ``members [M, B, S, K, C]``;
    the arm's part of the latents follows from the states (`worldmodel.predictors.proprioception`).

    Args:
        model: Whose dynamics.
        latents: Context latents, ``[B, T, 1, Z]``.
        states: Context states, ``[B, T, P]``, physical units.
        actions: Candidates, ``[B, S, H, A]``, physical units.
    """
    stride, members = model.config.stride, model.config.members
    batch, samples, horizon, width = actions.shape
    steps = horizon // stride
    arm = imagined_states(model, states[:, -1, None], actions, stride)
    features = arm.features.flatten(0, 1)
    chunks = model.scale_actions(actions).view(batch * samples, steps, stride * width)
    codes = model.object_latents(latents[:, -1]).expand(-1, samples, -1)
    codes = codes.flatten(0, 1).expand(members, -1, -1)
    imagined: list[Tensor] = []
    for k in range(steps):
        codes = model.dynamics(codes, features[:, k], chunks[:, k])
        imagined.append(codes)
    futures = torch.stack(imagined, 2).unflatten(1, (batch, samples))
    return Imagined(
        torch.cat([futures.mean(0), arm.features[:, :, 1:]], -1).unsqueeze(3),
        arm.states[:, :, 1:],
        actions,
        latents[:, -1],
        states[:, -1],
        futures if members > 1 else None,
    )


def imagined_path(model: VectorPredictor, rollout: _Rollout) -> Path:
    """The path ``[B, S, ...]`` of a rollout through the planning latents."""
    start = model.grounded(rollout.start_latents, rollout.start_states)[:, None, None]
    start = start.expand(-1, rollout.actions.shape[1], -1, -1, -1)
    latents = torch.cat([start, rollout.latents], 2)
    chunks = model.scale_actions(rollout.actions).unflatten(2, (-1, model.config.stride))
    return Path(
        model.object_latents(latents).squeeze(3),
        model.proprio(latents).squeeze(3),
        chunks.flatten(-2),
    )


def calibrated_uncertainties(model: VectorPredictor) -> dict[str, CalibratedUncertainty]:
    """All uncertainties of a model, by name; nothing is computed before one of them is called."""
    uncertainties: dict[str, Callable[[_Rollout], Tensor]] = {
        name: partial(_learned, model, name) for name in model.uncertainties.learned
    }
    if model.config.members > 1:
        uncertainties["disagreement"] = _disagreement
    usual = zip(TERMS, model.uncertainties.q90, model.uncertainties.q99, strict=True)
    return {
        name: CalibratedUncertainty(uncertainties[name], *q)
        for name, *q in usual
        if name in uncertainties
    }


def _learned(model: VectorPredictor, name: str, rollout: _Rollout) -> Tensor:
    return model.uncertainties.learned[name](imagined_path(model, rollout))


def _disagreement(rollout: _Rollout) -> Tensor:
    if rollout.members is None:
        raise ValueError(
            "Expected a rollout of an ensemble, got one without members; leave disagreement out"
        )
    return disagreement(rollout.members)
