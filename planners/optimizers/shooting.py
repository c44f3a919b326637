"""Random shooting: the best of sequences drawn at random; what any search has to beat.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass

from worldmodel.planners.search import Search
from worldmodel.planners.sequence import SequenceConfig, SequencePlanner
from worldmodel.planners.settings import (
    CHECKED,
)

__all__ = ["RandomShooting", "RandomShootingConfig"]


@dataclass(frozen=True, config=CHECKED)
class RandomShootingConfig(SequenceConfig):
    """Settings of random shooting.

    Attributes:
        samples: Candidates per iteration, drawn uniformly within the bounds.
        iterations: Rounds of drawing and evaluating: a deadline can end the search between them.
        warm_start: Keep the rest of the last plan as a candidate.
    """


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
