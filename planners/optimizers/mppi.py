"""Model-predictive path integral control: a softly weighted mean, for a batch of episodes at once.

Williams et al. 2017, arXiv:1509.01149, in the form that latent planners use it, several rounds
with a fitted spread (TD-MPC, arXiv:2203.04955, algorithm 1). Deviations: the temperature is a share
of the better half's spread, so that it has no units and heeds no outlier; the current mean is
itself a candidate; the plan is the best evaluated sequence; a policy prior's proposals join the
first population.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.planners.noise import autoregressive
from worldmodel.planners.search import Population, Search, moments
from worldmodel.planners.sequence import SequenceConfig, SequencePlanner
from worldmodel.planners.settings import (
    CHECKED,
    Correlation,
    Positive,
    Weight,
)

__all__ = ["MPPI", "MPPIConfig"]


@dataclass(frozen=True, config=CHECKED)
class MPPIConfig(SequenceConfig):
    """Settings of MPPI.

    Attributes:
        samples: Candidates per iteration.
        iterations: Rounds of sampling, evaluating and averaging.
        temperature: Of the weights ``exp(-energy / temperature)``, as a share of the way from a
            population's lowest energy to its median: the smaller, the fewer candidates count.
        std: Initial standard deviation, as a share of half the action range.
        min_std: Floor of the fitted standard deviation, in the same share.
        correlation: Correlation of the noise of neighbouring steps, 0 for white.
    """

    temperature: Positive = 0.2
    std: Positive = 0.35
    min_std: Weight = 0.05
    correlation: Correlation = 0.5


class MPPI(SequencePlanner[MPPIConfig]):
    """The planner."""

    def __init__(
        self, config: MPPIConfig, low: Tensor, high: Tensor, rest: Tensor | None = None
    ) -> None:
        super().__init__(config, low, high, rest)
        self._std = config.std * self.box.half_range
        self._min_std = config.min_std * self.box.half_range
        self._colour = autoregressive(config.horizon, config.correlation, low)

    def find(self, search: Search) -> None:
        """Search."""
        config = self.config
        mean, std = search.first, self._std.expand_as(search.first)
        for iteration in search.rounds(config.iterations):
            noise = search.noise(config.samples, self._colour)
            candidates = search.around(mean, std, noise, proposals=iteration == 0)
            population = search.evaluate(candidates)
            mean, spread = moments(population, self._weights(population))
            std = spread.maximum(self._min_std)

    def _weights(self, population: Population) -> Tensor:
        """Weights ``[B, S]``: none for infinite energies, all alike where energies are equal."""
        energy = population.energy
        finite = torch.isfinite(energy)
        ordered = energy.sort(1).values
        middle = (finite.sum(1, keepdim=True) - 1).clamp(min=0) // 2
        lowest, median = ordered[:, :1], ordered.gather(1, middle)
        scale = (self.config.temperature * (median - lowest)).clamp(min=1e-12)
        exponent = ((energy - lowest) / scale).where(finite, torch.inf)
        return torch.softmax(-exponent.where(torch.isfinite(lowest), 0.0), 1) * finite
