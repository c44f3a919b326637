"""Random shooting: the best of sequences drawn at random; what any search has to beat.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass

from worldmodel.planners.search import Search
from worldmodel.planners.sequence import SequencePlanner
from worldmodel.planners.settings import (
    CHECKED,
    Dimension,
    Horizon,
    Iterations,
    Proposals,
    Samples,
    distinct,
    no_more_than,
)

__all__ = ["RandomShooting", "RandomShootingConfig"]


@dataclass(frozen=True, config=CHECKED)
class RandomShootingConfig:
    """Settings.

    Attributes:
        samples: Candidates per iteration, drawn uniformly within the bounds.
        iterations: Rounds of drawing and evaluating: a deadline can end the search between them.
        horizon: Control steps looked ahead; a multiple of the world's stride.
        proposals: Candidates of the first population asked of the policy prior, if there is one.
        receding_horizon: Steps of a plan carried out before planning again.
        warm_start: Keep the rest of the last plan as a candidate.
        active_dims: Action dimensions to search over; the others stay zero.
    """

    samples: Samples = 96
    iterations: Iterations = 3
    horizon: Horizon = 8
    proposals: Proposals = 24
    receding_horizon: Horizon = 2
    warm_start: bool = True
    active_dims: tuple[Dimension, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        distinct(self, "active_dims")
        no_more_than(self, proposals="samples", receding_horizon="horizon")


class RandomShooting(SequencePlanner[RandomShootingConfig]):
    """The planner."""

    def find(self, search: Search) -> None:
        """Search."""
        for iteration in search.rounds(self.config.iterations):
            uniform = search.uniform(self.config.samples)
            drawn = self.box.actions(2 * uniform - 1).repeat(len(search.first), 1, 1, 1)
            if iteration == 0:
                known = [search.first[:, None]]
                known += [] if search.proposals is None else [search.proposals]
                drawn = torch.cat([*known, drawn], 1)[:, : self.config.samples]
            search.evaluate(drawn)
