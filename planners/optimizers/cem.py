"""Cross-entropy method over action sequences, for a batch of episodes at once.

CEM with a diagonal Gaussian (Rubinstein and Kroese, 2004), as V-JEPA 2-AC plans with it
(arXiv:2506.09985, §4.2). It differs in what iCEM (arXiv:2008.06389) found to save rollouts: elites
are the best of *everything* evaluated so far, the current mean is itself a candidate, the plan is
the best evaluated sequence and not the mean, and noise may be correlated over time. A policy
prior's proposals join the first population.

Shapes: see ``planners.protocols``; E is the number of elites.
"""

from __future__ import annotations

from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.planners.noise import autoregressive
from worldmodel.planners.search import Population, Search, moments
from worldmodel.planners.sequence import SequenceConfig, SequencePlanner
from worldmodel.planners.settings import (
    CHECKED,
    Correlation,
    Positive,
    Samples,
    Weight,
    no_more_than,
)

__all__ = ["CEM", "CEMConfig"]


@dataclass(frozen=True, config=CHECKED)
class CEMConfig(SequenceConfig):
    """Settings of CEM.

    Attributes:
        samples: Candidates per iteration.
        iterations: Rounds of sampling, evaluating and refitting.
        elites: Best candidates that the Gaussian is fitted to.
        std: Initial standard deviation, as a share of half the action range.
        min_std: Floor of the fitted standard deviation, in the same share.
        momentum: Share of the old mean and standard deviation kept when refitting.
        correlation: Correlation of the noise of neighbouring steps, 0 for white.
    """

    elites: Samples = 12
    std: Positive = 0.35
    min_std: Weight = 0.05
    momentum: Correlation = 0.0
    correlation: Correlation = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        no_more_than(self, elites="samples")


class CEM(SequencePlanner[CEMConfig]):
    """Cross-entropy method over action sequences; a `SequencePlanner`.

    Example:
        >>> import torch
        >>> low = torch.tensor([-0.05, -0.05, -0.05])
        >>> cem = CEM(CEMConfig(horizon=4), low, -low)
        >>> cem.init(batch=2).actions.shape
        torch.Size([2, 4, 3])
    """

    def __init__(
        self, config: CEMConfig, low: Tensor, high: Tensor, rest: Tensor | None = None
    ) -> None:
        super().__init__(config, low, high, rest)
        self._std = config.std * self.box.half_range
        self._min_std = config.min_std * self.box.half_range
        self._colour = autoregressive(config.horizon, config.correlation, low)

    def find(self, search: Search) -> None:
        """Search."""
        self.elites(search)

    def elites(self, search: Search) -> Population | None:
        """Search; the elites, ``[B, E]``, if there was time for an iteration."""
        config, elites = self.config, None
        mean, std = search.first, self._std.expand_as(search.first)
        for iteration in search.rounds(config.iterations):
            noise = search.noise(config.samples, self._colour)
            candidates = search.around(mean, std, noise, proposals=iteration == 0)
            fresh = search.evaluate(candidates)
            pool = fresh if elites is None else elites.joined(fresh)
            elites = pool.lowest(config.elites)
            fitted, spread = moments(elites)
            mean = fitted.lerp(mean, config.momentum)
            std = spread.lerp(std, config.momentum).maximum(self._min_std)
        return elites
