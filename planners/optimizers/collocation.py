"""Collocation: latents along the way are free variables, and the dynamics a residual to shrink.

After GRASP (Psenka et al. 2026, arXiv:2602.00475): all steps are imagined side by side, each from
its own virtual latents; the residual between what a step leads to and the next virtual latents is
the world energy, and every step is drawn to the goal. Gradients do not pass through the latents
that a step starts from, which are brittle inputs; noise on the latents explores; and every few
iterations the sequence is rolled out as a whole, improved by one step through that, and the virtual
latents are put where it leads. Deviations: Adam instead of plain gradient steps, several starts,
bounds by projection; and the plan is the best sequence that was rolled out as a whole, by the
problem's own energy.

Shapes: see ``planners.protocols``; S is the number of starts.
"""

from __future__ import annotations

from dataclasses import dataclass

import pydantic.dataclasses
import torch
from torch import Tensor

from worldmodel.planners.noise import autoregressive
from worldmodel.planners.optimizers.gradient import improve
from worldmodel.planners.problem import Problem
from worldmodel.planners.search import Search
from worldmodel.planners.sequence import SequenceConfig, SequencePlanner
from worldmodel.planners.settings import (
    CHECKED,
    Correlation,
    Iterations,
    Positive,
    Proposals,
    Samples,
    Weight,
)

__all__ = ["Collocation", "CollocationConfig"]


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class CollocationConfig(SequenceConfig):
    """Settings of collocation.

    Attributes:
        samples: Starts that are improved side by side.
        iterations: Rollouts as a whole.
        relaxed: Steps on actions and virtual latents after each of them but the last.
        learning_rate: Of Adam on actions, as a share of half the action range.
        latent_rate: Of Adam on virtual latents.
        residual: Weight of the dynamics' residual, beside the goal energy of every step.
        noise: Standard deviation of the noise on the latents that steps start from, in the first
            round; it falls to none in the last.
        std: Spread of the starts around the first, as a share of half the action range.
        correlation: Correlation of this noise in neighbouring steps, 0 for white.
    """

    samples: Samples = 8
    iterations: Iterations = 5
    relaxed: Proposals = 5
    learning_rate: Positive = 0.1
    latent_rate: Positive = 0.05
    residual: Weight = 1.0
    noise: Weight = 0.05
    std: Weight = 0.35
    correlation: Correlation = 0.5
    proposals: Proposals = 4


@dataclass(frozen=True)
class _Path:
    """Futures ``[B, S, K, N, D]`` and ``[B, S, K, P]``, however they came about."""

    latents: Tensor
    states: Tensor

    def one_by_one(self) -> _Path:
        """Every step as a path of its own, ``[B, S * K, 1, ...]``."""
        return _Path(self.latents.flatten(1, 2)[:, :, None], self.states.flatten(1, 2)[:, :, None])


class Collocation(SequencePlanner[CollocationConfig]):
    """The planner."""

    gradients = True

    def __init__(
        self, config: CollocationConfig, low: Tensor, high: Tensor, rest: Tensor | None = None
    ) -> None:
        super().__init__(config, low, high, rest)
        self._std = config.std * self.box.half_range
        self._colour = autoregressive(config.horizon, config.correlation, low)

    def find(self, search: Search) -> None:
        """Search."""
        config, last = self.config, self.config.iterations - 1
        noise = search.noise(config.samples, self._colour)
        starts = search.around(search.first, self._std, noise, proposals=True)
        shares = self.box.shares(starts).requires_grad_()
        adam, known = torch.optim.Adam([shares], lr=config.learning_rate), shares.detach().clone()
        for number in search.rounds(config.iterations):
            energy = search.evaluate(self.box.actions(shares), required=number == 0).energy
            if number < last:
                known = improve(adam, shares, energy, known)
                self._relax(search, shares, adam, config.noise * (1 - number / last))

    def _relax(
        self,
        search: Search,
        shares: Tensor,
        adam: torch.optim.Adam,
        noise: float,
    ) -> None:
        """Improve actions and virtual latents together, from where the last rollout led."""
        config, known = self.config, search.trajectory
        virtual = known.latents.detach().clone().requires_grad_()
        path = known.states.detach()
        latents = torch.optim.Adam([virtual], lr=config.latent_rate)
        for _ in range(config.relaxed):
            shaken = virtual.detach() + noise * search.normal(*virtual.shape[1:])
            actions = search.problem.begin(self.box.actions(shares))
            reached = _each_step(search.problem, shaken, path, actions)
            residual = (reached.latents - virtual).square().mean((-2, -1))
            to_go = search.problem.energy.to_go(reached.one_by_one()).view_as(residual)
            loss = (config.residual * residual + to_go).mean(-1)
            total = loss.where(loss.isfinite(), 0).sum()
            gradients = torch.autograd.grad(total, (shares, virtual))
            for one, gradient in zip((shares, virtual), gradients, strict=True):
                one.grad = gradient.nan_to_num(0.0, 0.0, 0.0)
            adam.step()
            latents.step()
            with torch.no_grad():
                shares.clamp_(-1, 1)
            path = reached.states.detach()
        search.watch.lap("relax")


def _each_step(problem: Problem, virtual: Tensor, path: Tensor, actions: Tensor) -> _Path:
    """Where every step leads from the virtual latents and states before it."""
    world, shape = problem.world, virtual.shape[:3]
    first = problem.latents[:, None, -1:].expand(-1, shape[1], -1, -1, -1)
    standing = problem.states[:, None, -1:].expand(-1, shape[1], -1, -1)
    before = torch.cat([first, virtual[:, :, :-1]], 2).flatten(0, 2)
    states = torch.cat([standing, path[:, :, :-1]], 2).flatten(0, 2)
    taken = actions.unflatten(2, (-1, world.stride)).flatten(0, 2)
    step = world.rollout(before[:, None], states[:, None], taken[:, None])
    return _Path(
        step.latents[:, 0, 0].unflatten(0, shape), step.states[:, 0, 0].unflatten(0, shape)
    )
