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

import torch
from torch import Tensor

from planners.box import ActionBox, Start
from planners.gradient import differentiable, improve
from planners.noise import autoregressive
from planners.problem import Plan, Problem
from planners.search import Search
from planners.settings import at_least_one, no_more_than, within

__all__ = ["GRASP", "GRASPConfig"]


@dataclass(frozen=True)
class GRASPConfig:
    """Settings of the search.

    Attributes:
        samples: Starts that are improved side by side.
        iterations: Rollouts as a whole.
        relaxed: Steps on actions and virtual latents after each of them but the last.
        horizon: Control steps looked ahead; a multiple of the world's stride.
        learning_rate: Of Adam on actions, as a share of half the action range.
        latent_rate: Of Adam on virtual latents.
        residual: Weight of the dynamics' residual, beside the goal energy of every step.
        noise: Standard deviation of the noise on the latents that steps start from, in the first
            round; it falls to none in the last.
        std: Spread of the starts around the first, as a share of half the action range.
        correlation: Correlation of this noise in neighbouring steps, 0 for white.
        proposals: Starts asked of the policy prior, if there is one.
        execute: Steps of a plan carried out before planning again.
        warm_start: Begin from the rest of the last plan.
        active_dims: Action dimensions to search over; the others stay zero.
    """

    samples: int = 8
    iterations: int = 5
    relaxed: int = 5
    horizon: int = 8
    learning_rate: float = 0.1
    latent_rate: float = 0.05
    residual: float = 1.0
    noise: float = 0.05
    std: float = 0.35
    correlation: float = 0.5
    proposals: int = 4
    execute: int = 2
    warm_start: bool = True
    active_dims: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        at_least_one(self, "samples", "iterations", "horizon", "execute")
        no_more_than(self, proposals="samples", execute="horizon")
        within(self, 0, 0.99, "correlation")
        for name in ("relaxed", "residual", "noise", "std"):
            if (value := getattr(self, name)) < 0:
                raise ValueError(f"Expected {name} of at least 0, got {value}")
        for name in ("learning_rate", "latent_rate"):
            if (value := getattr(self, name)) <= 0:
                raise ValueError(f"Expected {name} > 0, got {value}")


@dataclass(frozen=True)
class _Path:
    """Futures ``[B, S, K, N, D]`` and ``[B, S, K, P]``, however they came about."""

    latents: Tensor
    states: Tensor

    def one_by_one(self) -> _Path:
        """Every step as a path of its own, ``[B, S * K, 1, ...]``."""
        return _Path(self.latents.flatten(1, 2)[:, :, None], self.states.flatten(1, 2)[:, :, None])


class GRASP:
    """The planner; it holds constants only, so one serves any number of episodes.

    Args:
        config: Settings.
        low: Lower action bounds ``[A]``, physical units; their device is the planner's.
        high: Upper action bounds ``[A]``.
    """

    def __init__(self, config: GRASPConfig, low: Tensor, high: Tensor) -> None:
        self.config = config
        self._box = ActionBox(low, high, config.active_dims)
        self._colour = autoregressive(config.horizon, config.correlation, low)

    @property
    def execute(self) -> int:
        """Steps of a plan to carry out before planning again."""
        return self.config.execute

    def init(self, batch: int) -> Start:
        """A cold start: at rest."""
        return self._box.cold(batch, self.config.horizon)

    def shift(self, state: Start, steps: int) -> Start:
        """Drop the executed steps and rest at the end; cold if nothing of the plan is left."""
        return self._box.shifted(state, steps if self.config.warm_start else self.config.horizon)

    def plan(
        self,
        problem: Problem,
        state: Start,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
        profile: bool = False,
    ) -> tuple[Plan, Start]:
        """Search; see ``planners.problem.Planner.plan``."""
        config, box = self.config, self._box
        with differentiable(problem) as problem:
            search = Search(problem, state, config.horizon, deadline, profile)
            shares = box.shares(search.starts(box, config, state, self._colour, generator))
            search.watch.lap("proposal")
            adam = torch.optim.Adam([shares.requires_grad_()], lr=config.learning_rate)
            known = shares.detach().clone()
            for number in search.rounds(config.iterations):
                energy = search.evaluate(box.actions(shares), required=number == 0).energy
                known = improve(adam, shares, energy, known)
                if number < config.iterations - 1:
                    noise = config.noise * (1 - number / max(1, config.iterations - 2))
                    self._relax(problem, search, shares, adam, noise, generator)
            plan = search.plan()
        return plan, Start(plan.actions, warm=True)

    def _relax(
        self,
        problem: Problem,
        search: Search,
        shares: Tensor,
        adam: torch.optim.Adam,
        noise: float,
        generator: torch.Generator,
    ) -> None:
        """Improve actions and virtual latents together, from where the last rollout led."""
        config, known = self.config, search.trajectory
        virtual = known.latents.detach().clone().requires_grad_()
        path = known.states.detach()
        latents = torch.optim.Adam([virtual], lr=config.latent_rate)
        for _ in range(config.relaxed):
            shaken = virtual.detach() + noise * torch.randn(
                virtual.shape[1:], generator=generator, device=virtual.device, dtype=virtual.dtype
            )
            reached = self._each_step(problem, shaken, path, self._box.actions(shares))
            residual = (reached.latents - virtual).square().mean((-2, -1))
            to_go = problem.energy.to_go(reached.one_by_one()).view_as(residual)
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

    def _each_step(self, problem: Problem, virtual: Tensor, path: Tensor, actions: Tensor) -> _Path:
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
