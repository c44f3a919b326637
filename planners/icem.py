"""iCEM: the cross-entropy method made sample-efficient, for a batch of episodes at once.

Pinneri et al. 2020, arXiv:2008.06389, algorithm 1: noise of a power-law spectrum, populations that
shrink, a share of the elites kept from round to round and, shifted, from plan to plan, the mean a
candidate of the last round, and the best evaluated sequence for the plan. Deviations: a policy
prior's proposals join the first population; with a horizon of one, noise is white.

Shapes: see ``planners.protocols``; E is the number of elites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from planners.box import ActionBox, Start
from planners.noise import power_law
from planners.problem import Plan, Problem
from planners.search import Population, Search, moments
from planners.settings import at_least_one, no_more_than, within

__all__ = ["ICEM", "ICEMConfig", "ICEMState"]


@dataclass(frozen=True)
class ICEMConfig:
    """Settings of the search; with its defaults a plan takes 48 + 32 + 24 rollouts.

    Attributes:
        samples: Candidates of the first iteration.
        iterations: Rounds of sampling, evaluating and refitting.
        horizon: Control steps looked ahead; a multiple of the world's stride.
        elites: Best candidates that the Gaussian is fitted to.
        decay: By what populations shrink from round to round; none is below twice the elites.
        keep: Share of the elites that is evaluated again with the next population.
        exponent: β of the noise's spectrum ``f ** -β``.
        std: Initial standard deviation, as a share of half the action range.
        min_std: Floor of the fitted standard deviation, in the same share.
        momentum: Share of the old mean and standard deviation kept when refitting.
        proposals: Candidates of the first population asked of the policy prior, if there is one.
        execute: Steps of a plan carried out before planning again.
        warm_start: Begin from the rest of the last plan, and from that of its elites.
        active_dims: Action dimensions to search over; the others stay zero.
    """

    samples: int = 48
    iterations: int = 3
    horizon: int = 8
    elites: int = 8
    decay: float = 1.4
    keep: float = 0.3
    exponent: float = 2.0
    std: float = 0.35
    min_std: float = 0.0
    momentum: float = 0.1
    proposals: int = 12
    execute: int = 2
    warm_start: bool = True
    active_dims: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        at_least_one(self, "samples", "iterations", "horizon", "elites", "execute", "decay")
        no_more_than(self, elites="samples", proposals="samples", execute="horizon")
        within(self, 0, 1, "keep", "momentum")
        if self.std <= 0 or self.min_std < 0 or self.exponent < 0:
            raise ValueError(
                "Expected std > 0, min_std >= 0 and exponent >= 0, got "
                f"std={self.std}, min_std={self.min_std}, exponent={self.exponent}"
            )


class ICEMState(NamedTuple):
    """What one plan leaves to the next: where to start, and the kept elites ``[B, kept, H, A]``."""

    start: Start
    kept: Tensor


class ICEM:
    """The planner; it holds constants only, so one serves any number of episodes.

    Args:
        config: Settings.
        low: Lower action bounds ``[A]``, physical units; their device is the planner's.
        high: Upper action bounds ``[A]``.
    """

    def __init__(self, config: ICEMConfig, low: Tensor, high: Tensor) -> None:
        self.config = config
        self._box = ActionBox(low, high, config.active_dims)
        self._std = config.std * self._box.half_range
        self._min_std = config.min_std * self._box.half_range
        self._colour = power_law(config.horizon, config.exponent, low)
        self._kept = round(config.keep * config.elites)
        least = min(config.samples, 2 * config.elites)
        sizes = (round(config.samples * config.decay**-i) for i in range(config.iterations))
        self._sizes = [max(least, size) for size in sizes]

    @property
    def execute(self) -> int:
        """Steps of a plan to carry out before planning again."""
        return self.config.execute

    def init(self, batch: int) -> ICEMState:
        """A cold start: at rest."""
        start = self._box.cold(batch, self.config.horizon)
        return ICEMState(start, start.actions[:, None].expand(-1, self._kept, -1, -1))

    @torch.inference_mode()
    def shift(self, state: ICEMState, steps: int) -> ICEMState:
        """Drop the executed steps and rest at the end; cold if nothing of the plan is left."""
        batch, horizon = len(state.kept), self.config.horizon
        if not self.config.warm_start or steps >= horizon:
            return self.init(batch)
        kept = self._box.shifted(Start(state.kept.flatten(0, 1), state.start.warm), steps)
        return ICEMState(
            self._box.shifted(state.start, steps), kept.actions.unflatten(0, (batch, self._kept))
        )

    @torch.inference_mode()
    def plan(
        self,
        problem: Problem,
        state: ICEMState,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
        profile: bool = False,
    ) -> tuple[Plan, ICEMState]:
        """Search; see ``planners.problem.Planner.plan``."""
        config, start = self.config, state.start
        search = Search(problem, start, config.horizon, deadline, profile)
        proposals = search.propose(self._box, config.proposals, config.horizon, generator)
        mean, std = start.actions, self._std.expand_as(start.actions)
        if proposals is not None and not start.warm:
            mean = proposals[:, 0]
        search.watch.lap("proposal")

        known = [state.kept] if start.warm else []
        known += [] if proposals is None else [proposals]
        elites: Population | None = None
        for iteration in search.rounds(config.iterations):
            last = iteration == config.iterations - 1
            candidates = self._sample(self._sizes[iteration], mean, std, generator)
            for actions in (*known, *([mean[:, None]] if last else ())):
                candidates = torch.cat([actions, candidates[:, : -actions.shape[1]]], 1)
            elites = search.evaluate(self._box.clamp(candidates)).lowest(config.elites)
            known = [elites.actions[:, : self._kept]]
            fitted, spread = moments(elites)
            mean = fitted.lerp(mean, config.momentum)
            std = spread.lerp(std, config.momentum).maximum(self._min_std)
        assert elites is not None
        plan = search.plan()
        return plan, ICEMState(Start(plan.actions, warm=True), elites.actions[:, : self._kept])

    def _sample(self, size: int, mean: Tensor, std: Tensor, generator: torch.Generator) -> Tensor:
        # Episodes share the noise, so that a batch decides as its episodes would one by one.
        shape = (size, *mean.shape[1:])
        noise = torch.randn(shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean[:, None] + std[:, None] * (self._colour @ noise)
