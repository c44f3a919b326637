"""Uncertainties of a vector predictor: one number per imagined step, higher is worse.

The distance between a rollout and that same model's prediction is zero by construction, so every
uncertainty is a second opinion:

- ``disagreement``: variance of an ensemble's members (Pathak et al., arXiv:1906.04161, §3).
- ``density``: minus the log-density of an imagined transition under those of the training data.
- ``leap``: distance to a second predictor that leaps several imagined steps at once.
- ``error``: the squared error of the imagined code that is to be expected.

The first needs no training. The heads of the next two are trained to be little surprised by
recorded transitions; that of the last learns from the errors of rollouts
(`worldmodel.dynamics.vector.uncertainty`).

Shapes: ``...`` any leading axes, K imagined steps, C object latent, F state features, A action,
M ensemble members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.nn.mlp import mlp

__all__ = ["STEPS", "TERMS", "Path", "UncertaintyHeads", "disagreement"]

TERMS = ("disagreement", "density", "leap", "error")
STEPS = 16
"""Imagined steps for which uncertainties are calibrated."""


class Path(NamedTuple):
    """A path through the planning latents, recorded or imagined, its start included.

    Attributes:
        codes: Object latents, ``[..., K + 1, C]``.
        features: State features, ``[..., K + 1, F]``.
        actions: Scaled actions of each step, ``[..., K, stride * A]``.
    """

    codes: Tensor
    features: Tensor
    actions: Tensor


def disagreement(members: Tensor) -> Tensor:
    """Variance of the members' codes ``[M, ..., C]``, a mean over the object latent, ``[...]``."""
    return (members - members.mean(0)).square().mean((0, -1))


class UncertaintyHeads(nn.Module):
    """The heads behind the uncertainties that are learned, and the usual values of all terms.

    Args:
        code: C.
        features: F.
        actions: ``stride * A``.
        leap: Imagined steps that the second predictor leaps at most.
        width: Of hidden layers.
    """

    def __init__(self, code: int, features: int, actions: int, leap: int, width: int) -> None:
        super().__init__()
        self.longest = leap
        here = code + features
        self.transit = mlp(here + actions, width, 2, 2 * code)
        self.jump = mlp(here + leap * (actions + 1), width, 2, code)
        self.err = mlp(2 * here + actions, width, 2, code)
        self.q90: Tensor
        self.q99: Tensor
        self.register_buffer("q90", torch.zeros(len(TERMS), STEPS))
        self.register_buffer("q99", torch.ones(len(TERMS), STEPS))

    @property
    def learned(self) -> dict[str, Callable[[Path], Tensor]]:
        """The learned terms, ``[..., K]`` of a path, by name."""
        return {"density": self.density, "leap": self.leap, "error": self.error}

    def density(self, path: Path) -> Tensor:
        """Minus the log-density of each next code, a Gaussian given code, arm and actions."""
        before, after = path.codes[..., :-1, :], path.codes[..., 1:, :]
        inputs = torch.cat([before, path.features[..., :-1, :], path.actions], -1)
        return _surprise(after - before, self.transit(inputs))

    def leap(self, path: Path) -> Tensor:
        """Squared distance of each code to where a leap lands, a mean over the code.

        Leaps are as long as the second predictor can make them, or as there are steps before.
        """
        steps = path.actions.shape[-2]
        firsts = [max(0, last - self.longest) for last in range(1, steps + 1)]
        taken = F.pad(path.actions, (0, 1), value=1.0)  # marks steps apart from padding
        legs = [self._padded(taken[..., first : k + 1, :]) for k, first in enumerate(firsts)]
        starts, features = (
            torch.stack([part[..., first, :] for first in firsts], -2)
            for part in (path.codes, path.features)
        )
        landed = starts + self.jump(torch.cat([starts, features, torch.stack(legs, -2)], -1))
        return (path.codes[..., 1:, :] - landed).square().mean(-1)

    def _padded(self, leg: Tensor) -> Tensor:
        return F.pad(leg, (0, 0, 0, self.longest - leg.shape[-2])).flatten(-2)

    def error(self, path: Path) -> Tensor:
        """Expected squared error of imagined codes: the mean of `variance` over the code."""
        return self.variance(path).mean(-1)

    def variance(self, path: Path) -> Tensor:
        """Expected squared error of each number of the codes, ``[..., K, C]``.

        It is what all steps so far have added, since the errors of a rollout add up.
        """
        before, after = path.codes[..., :-1, :], path.codes[..., 1:, :]
        here, there = path.features[..., :-1, :], path.features[..., 1:, :]
        inputs = torch.cat([before, here, after, there, path.actions], -1)
        return F.softplus(self.err(inputs)).cumsum(-2)


def _surprise(seen: Tensor, gaussian: Tensor) -> Tensor:
    """Minus the log-density, up to a constant, a mean over numbers: ``[...]`` of ``[..., X]``.

    Args:
        seen: ``[..., X]``.
        gaussian: Means and log-variances, ``[..., 2 X]``.
    """
    mean, log_variance = gaussian.chunk(2, -1)
    log_variance = log_variance.clamp(-10.0, 6.0)
    return 0.5 * (log_variance + (seen - mean).square() * (-log_variance).exp()).mean(-1)
