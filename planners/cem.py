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

import torch
from torch import Tensor

from planners.box import ActionBox, Start
from planners.noise import autoregressive
from planners.problem import Plan, Problem
from planners.search import Population, Search, moments
from planners.settings import at_least_one, no_more_than

__all__ = ["CEM", "CEMConfig"]


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
        at_least_one(self, "samples", "iterations", "horizon", "elites", "execute")
        no_more_than(self, elites="samples", proposals="samples", execute="horizon")
        if self.std <= 0 or self.min_std < 0:
            raise ValueError(
                f"Expected std > 0 and min_std >= 0, got std={self.std}, min_std={self.min_std}"
            )
        if not 0 <= self.momentum < 1 or not 0 <= self.correlation < 1:
            raise ValueError(
                "Expected momentum and correlation in [0, 1), got "
                f"momentum={self.momentum}, correlation={self.correlation}"
            )


class CEM:
    """The planner; it holds constants only, so one serves any number of episodes.

    Args:
        config: Settings.
        low: Lower action bounds ``[A]``, physical units; their device is the planner's.
        high: Upper action bounds ``[A]``.

    Example:
        >>> low = torch.tensor([-0.05, -0.05, -0.05])
        >>> cem = CEM(CEMConfig(horizon=4), low, -low)
        >>> cem.init(batch=2).actions.shape
        torch.Size([2, 4, 3])
    """

    def __init__(self, config: CEMConfig, low: Tensor, high: Tensor) -> None:
        self.config = config
        self.box = ActionBox(low, high, config.active_dims)
        self._std = config.std * self.box.half_range
        self._min_std = config.min_std * self.box.half_range
        self._colour = autoregressive(config.horizon, config.correlation, low)

    @property
    def execute(self) -> int:
        """Steps of a plan to carry out before planning again."""
        return self.config.execute

    def init(self, batch: int) -> Start:
        """A cold start: at rest."""
        return self.box.cold(batch, self.config.horizon)

    @torch.inference_mode()
    def shift(self, state: Start, steps: int) -> Start:
        """Drop the executed steps and rest at the end; cold if nothing of the plan is left."""
        return self.box.shifted(state, steps if self.config.warm_start else self.config.horizon)

    @torch.inference_mode()
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
        search = Search(problem, state, self.config.horizon, deadline, profile)
        self.find(search, state, generator)
        plan = search.plan()
        return plan, Start(plan.actions, warm=True)

    def find(self, search: Search, state: Start, generator: torch.Generator) -> Population:
        """The elites of all rounds, within a search that others may go on with."""
        config = self.config
        proposals = search.propose(self.box, config.proposals, config.horizon, generator)
        mean, std = state.actions, self._std.expand_as(state.actions)
        if proposals is not None and not state.warm:
            mean = proposals[:, 0]
        search.watch.lap("proposal")
        elites: Population | None = None
        for iteration in search.rounds(config.iterations):
            candidates = self._sample(mean, std, proposals if iteration == 0 else None, generator)
            fresh = search.evaluate(candidates)
            elites = (fresh if elites is None else elites.joined(fresh)).lowest(config.elites)
            mean, std = self._fit(elites, mean, std)
        assert elites is not None
        return elites

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
        return self.box.clamp(candidates)

    def _fit(self, elites: Population, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        fitted, spread = moments(elites)
        mean = torch.lerp(fitted, mean, self.config.momentum)
        std = torch.lerp(spread, std, self.config.momentum)
        return mean, torch.maximum(std, self._min_std)
