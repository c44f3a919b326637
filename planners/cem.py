"""Cross-entropy method over action sequences, for a batch of episodes at once.

CEM with a diagonal Gaussian (Rubinstein and Kroese, 2004), as V-JEPA 2-AC plans with it
(arXiv:2506.09985, §4.2). It differs in what iCEM (arXiv:2008.06389) found to save rollouts: elites
are the best of *everything* evaluated so far, the current mean is itself a candidate, the plan is
the best evaluated sequence and not the mean, and noise may be correlated over time. A policy
prior's proposals join the first population.

Shapes: see ``planners.protocols``; E is the number of elites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from planners.problem import Plan, Problem, count_nonfinite
from planners.timing import Countdown, Stopwatch

__all__ = ["CEM", "CEMConfig", "CEMState"]


@dataclass(frozen=True)
class CEMConfig:
    """Settings of the search.

    Attributes:
        samples: Candidates per iteration.
        iterations: Rounds of sampling, evaluating and refitting.
        horizon: Control steps looked ahead; a multiple of the world's stride.
        elites: Best candidates that the Gaussian is fitted to.
        std: Initial standard deviation, as a share of half the action range.
        min_std: Floor of the fitted standard deviation, in the same share.
        momentum: Share of the old mean and standard deviation kept when refitting.
        correlation: Correlation of the noise of neighbouring steps, 0 for white.
        proposals: Candidates of the first population asked of the policy prior, if there is one.
        execute: Steps of a plan carried out before planning again.
        warm_start: Begin from the rest of the last plan.
        active_dims: Action dimensions to search over; the others stay zero.
    """

    samples: int = 96
    iterations: int = 3
    horizon: int = 8
    elites: int = 12
    std: float = 0.35
    min_std: float = 0.05
    momentum: float = 0.0
    correlation: float = 0.5
    proposals: int = 24
    execute: int = 2
    warm_start: bool = True
    active_dims: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        for name in ("samples", "iterations", "horizon", "elites", "execute"):
            if getattr(self, name) < 1:
                raise ValueError(f"Expected {name} of at least 1, got {getattr(self, name)}")
        for name, most in (("elites", "samples"), ("proposals", "samples"), ("execute", "horizon")):
            if getattr(self, name) > getattr(self, most):
                raise ValueError(
                    f"Expected {name} of at most {most} ({getattr(self, most)}), "
                    f"got {getattr(self, name)}; lower {name} or raise {most}"
                )
        if self.std <= 0 or self.min_std < 0:
            raise ValueError(
                f"Expected std > 0 and min_std >= 0, got std={self.std}, min_std={self.min_std}"
            )
        if not 0 <= self.momentum < 1 or not 0 <= self.correlation < 1:
            raise ValueError(
                "Expected momentum and correlation in [0, 1), got "
                f"momentum={self.momentum}, correlation={self.correlation}"
            )


class CEMState(NamedTuple):
    """What one plan leaves to the next: a sequence ``[B, H, A]``, and whether it means anything."""

    mean: Tensor
    warm: bool


class _Population(NamedTuple):
    """Evaluated candidates: ``[B, S, H, A]``, ``[B, S]``, ``[B, S]`` per term."""

    actions: Tensor
    energy: Tensor
    terms: dict[str, Tensor]


class CEM:
    """The planner; it holds constants only, so one serves any number of episodes.

    Args:
        config: Settings.
        low: Lower action bounds ``[A]``, physical units; their device is the planner's.
        high: Upper action bounds ``[A]``.

    Example:
        >>> low = torch.tensor([-0.05, -0.05, -0.05])
        >>> cem = CEM(CEMConfig(horizon=4), low, -low)
        >>> cem.init(batch=2).mean.shape
        torch.Size([2, 4, 3])
    """

    def __init__(self, config: CEMConfig, low: Tensor, high: Tensor) -> None:
        width = low.shape[-1]
        if low.shape != (width,) or high.shape != (width,) or not bool((low <= high).all()):
            raise ValueError(f"Expected bounds low <= high of shape [A], got {low} and {high}")
        if not all(0 <= dim < width for dim in config.active_dims):
            raise ValueError(
                f"Expected active_dims within 0..{width - 1} for actions of width {width}, "
                f"got {tuple(config.active_dims)}"
            )
        active = torch.zeros_like(low)
        active[list(config.active_dims)] = 1.0
        self.config = config
        # Bounds of zero keep every candidate, proposals included, at rest in inactive dimensions.
        self._low, self._high = low * active, high * active
        half_range = (self._high - self._low) / 2
        self._std, self._min_std = config.std * half_range, config.min_std * half_range
        self._rest = torch.zeros_like(low).clamp(self._low, self._high)
        lag = torch.arange(config.horizon, device=low.device)
        covariance = torch.pow(config.correlation, (lag[:, None] - lag).abs().to(low.dtype))
        self._colour: Tensor = torch.linalg.cholesky(covariance)

    @property
    def execute(self) -> int:
        """Steps of a plan to carry out before planning again."""
        return self.config.execute

    def init(self, batch: int) -> CEMState:
        """A cold start: at rest."""
        return CEMState(self._rest.repeat(batch, self.config.horizon, 1), warm=False)

    @torch.inference_mode()
    def shift(self, state: CEMState, steps: int) -> CEMState:
        """Drop the executed steps and rest at the end; cold if nothing of the plan is left."""
        if not self.config.warm_start or steps >= self.config.horizon:
            return self.init(len(state.mean))
        rest = self._rest.expand(len(state.mean), steps, -1)
        return CEMState(torch.cat([state.mean[:, steps:], rest], 1), warm=state.warm)

    @torch.inference_mode()
    def plan(
        self,
        problem: Problem,
        state: CEMState,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
        profile: bool = False,
    ) -> tuple[Plan, CEMState]:
        """Search; see ``planners.problem.Planner.plan``."""
        self._check(problem, state)
        device = problem.latents.device
        countdown, watch = Countdown(device, deadline), Stopwatch(device, profile)

        proposals = self._propose(problem, generator)
        mean, std = state.mean, self._std.expand_as(state.mean)
        if proposals is not None and not state.warm:
            mean = proposals[:, 0]
        watch.lap("proposal")

        elites: _Population | None = None
        trace: list[Tensor] = []
        finite: list[Tensor] = []
        for iteration in range(self.config.iterations):
            if not countdown.allows_another():
                break
            candidates = self._sample(mean, std, proposals if iteration == 0 else None, generator)
            watch.lap("update")
            trajectory = problem.world.rollout(problem.latents, problem.states, candidates)
            watch.lap("rollout")
            energy, terms = problem.energy(trajectory)
            watch.lap("energy")
            valid = torch.isfinite(energy)
            fresh = _Population(candidates, energy.masked_fill(~valid, torch.inf), terms)
            elites = self._select(fresh if elites is None else _join(elites, fresh))
            mean, std = self._fit(elites, mean, std)
            trace.append(elites.energy[:, 0])
            finite.append(valid.sum(1))
            watch.lap("update")

        assert elites is not None
        nonfinite = count_nonfinite(torch.stack(finite, 1), self.config.samples)
        best = elites.actions[:, 0]
        breakdown = {name: term[:, 0] for name, term in elites.terms.items()}
        watch.lap("update")
        plan = Plan(best, trace[-1], breakdown, torch.stack(trace, 1), nonfinite, watch.seconds)
        return plan, CEMState(best, warm=True)

    def _propose(self, problem: Problem, generator: torch.Generator) -> Tensor | None:
        if problem.proposal is None or self.config.proposals == 0:
            return None
        proposals = problem.proposal(
            problem.latents,
            problem.states,
            samples=self.config.proposals,
            horizon=self.config.horizon,
            generator=generator,
        )
        return proposals.clamp(self._low, self._high)

    def _sample(
        self, mean: Tensor, std: Tensor, proposals: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        # Episodes share the noise, so that a batch decides as its episodes would one by one.
        shape = (self.config.samples, *mean.shape[1:])
        noise = torch.randn(shape, generator=generator, device=mean.device, dtype=mean.dtype)
        candidates = mean[:, None] + std[:, None] * (self._colour @ noise)
        candidates[:, -1] = mean
        if proposals is not None:
            candidates[:, : proposals.shape[1]] = proposals
        return candidates.clamp(self._low, self._high)

    def _select(self, pool: _Population) -> _Population:
        energy, index = pool.energy.topk(self.config.elites, largest=False)
        return _Population(
            pool.actions.take_along_dim(index[:, :, None, None], 1),
            energy,
            {name: term.take_along_dim(index, 1) for name, term in pool.terms.items()},
        )

    def _fit(self, elites: _Population, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        # With few finite candidates the elites hold infinite ones: these must not vote.
        vote = torch.isfinite(elites.energy).to(mean.dtype)[:, :, None, None]
        vote = vote / vote.sum(1, keepdim=True).clamp(min=1)
        fitted = (vote * elites.actions).sum(1)
        variance = (vote * (elites.actions - fitted[:, None]).square()).sum(1)
        mean = torch.lerp(fitted, mean, self.config.momentum)
        std = torch.lerp(variance.sqrt(), std, self.config.momentum)
        return mean, torch.maximum(std, self._min_std)

    def _check(self, problem: Problem, state: CEMState) -> None:
        problem.check_horizon(self.config.horizon)
        if len(state.mean) != len(problem.latents):
            raise ValueError(
                f"Expected a planner state for {len(problem.latents)} episodes, got one for "
                f"{len(state.mean)}; make one with `init(batch={len(problem.latents)})`"
            )


def _join(one: _Population, other: _Population) -> _Population:
    return _Population(
        torch.cat([one.actions, other.actions], 1),
        torch.cat([one.energy, other.energy], 1),
        {name: torch.cat([term, other.terms[name]], 1) for name, term in one.terms.items()},
    )
