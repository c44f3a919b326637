"""iCEM: the cross-entropy method made sample-efficient, for a batch of episodes at once.

Pinneri et al. 2020, arXiv:2008.06389, algorithm 1: noise of a power-law spectrum, populations that
shrink, a share of the elites kept from round to round and, shifted, from plan to plan, the mean a
candidate of the last round, and the best evaluated sequence for the plan. Deviations: a policy
prior's proposals join the first population; with a horizon of one, noise is white.

Shapes: see ``planners.protocols``; E is the number of elites.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.planners.noise import power_law
from worldmodel.planners.search import Search, moments
from worldmodel.planners.sequence import SequenceConfig, SequencePlanner
from worldmodel.planners.settings import (
    CHECKED,
    Multiple,
    Positive,
    Proposals,
    Samples,
    Share,
    Weight,
    no_more_than,
)

__all__ = ["ICEM", "ICEMConfig"]


@dataclass(frozen=True, config=CHECKED)
class ICEMConfig(SequenceConfig):
    """Settings of the search; with its defaults a plan takes 48 + 34 + 24 rollouts.

    Attributes:
        samples: Candidates of the first iteration.
        iterations: Rounds of sampling, evaluating and refitting.
        elites: Best candidates that the Gaussian is fitted to.
        decay: By what populations shrink from round to round; none is below twice the elites.
        keep: Share of the elites that is evaluated again with the next population.
        exponent: β of the noise's spectrum ``f ** -β``.
        std: Initial standard deviation, as a share of half the action range.
        min_std: Floor of the fitted standard deviation, in the same share.
        momentum: Share of the old mean and standard deviation kept when refitting.
        warm_start: Begin from the rest of the last plan, and from that of its elites.
    """

    samples: Samples = 48
    elites: Samples = 8
    decay: Multiple = 1.4
    keep: Share = 0.3
    exponent: Weight = 2.0
    std: Positive = 0.35
    min_std: Weight = 0.0
    momentum: Share = 0.1
    proposals: Proposals = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        no_more_than(self, elites="samples")


class ICEM(SequencePlanner[ICEMConfig]):
    """The planner."""

    def __init__(
        self, config: ICEMConfig, low: Tensor, high: Tensor, rest: Tensor | None = None
    ) -> None:
        super().__init__(config, low, high, rest)
        self._std = config.std * self.box.half_range
        self._min_std = config.min_std * self.box.half_range
        self._colour = power_law(config.horizon, config.exponent, low)
        self._kept = round(config.keep * config.elites)
        least = min(config.samples, 2 * config.elites)
        sizes = (round(config.samples * config.decay**-i) for i in range(config.iterations))
        self._sizes = [max(least, size) for size in sizes]

    def find(self, search: Search) -> Tensor:
        """Search; the elites to keep."""
        config, last = self.config, self.config.iterations - 1
        mean, std = search.first, self._std.expand_as(search.first)
        known = [search.kept] if search.proposals is None else [search.kept, search.proposals]
        for iteration in search.rounds(config.iterations):
            size = self._sizes[iteration]
            drawn = mean[:, None] + std[:, None] * search.noise(size, self._colour)
            known = [mean[:, None], *known] if iteration == last else known
            candidates = torch.cat([*known, drawn], 1)[:, :size]
            elites = search.evaluate(candidates).lowest(config.elites)
            known = [elites.actions[:, : self._kept]]
            fitted, spread = moments(elites)
            mean = fitted.lerp(mean, config.momentum)
            std = spread.lerp(std, config.momentum).maximum(self._min_std)
        return known[0]
