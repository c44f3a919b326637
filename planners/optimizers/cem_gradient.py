"""CEM whose elites are refined by gradients: search finds the valley, Adam its floor.

As in Bharadhwaj, Xie and Shkurti 2020 (arXiv:2004.08763), but with all of the search before the
refinement, so that gradients, at three rollouts each, are spent on the best candidates only.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.planners.optimizers.cem import CEM, CEMConfig
from worldmodel.planners.optimizers.gradient import descend
from worldmodel.planners.search import Search
from worldmodel.planners.sequence import SequencePlanner
from worldmodel.planners.settings import CHECKED, Iterations, Positive, Samples, no_more_than

__all__ = ["CEMGradient", "CEMGradientConfig"]


@dataclass(frozen=True, config=CHECKED)
class CEMGradientConfig(CEMConfig):
    """Settings of the search, and of the refinement.

    Attributes:
        refined: Elites that are refined.
        steps: Evaluations of these, with a step of Adam between each and the next.
        learning_rate: Of Adam, as a share of half the action range.
    """

    samples: Samples = 64
    iterations: Iterations = 2
    refined: Samples = 4
    steps: Iterations = 4
    learning_rate: Positive = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        no_more_than(self, refined="elites")


class CEMGradient(SequencePlanner[CEMGradientConfig]):
    """The planner."""

    gradients = True

    def __init__(
        self, config: CEMGradientConfig, low: Tensor, high: Tensor, rest: Tensor | None = None
    ) -> None:
        super().__init__(config, low, high, rest)
        self._cem = CEM(config, low, high)

    def find(self, search: Search) -> None:
        """Search, then descend from the best."""
        config = self.config
        with torch.no_grad():
            elites = self._cem.elites(search)
        if elites is not None:
            best = elites.actions[:, : config.refined]
            descend(search, self.box, best, config.steps, config.learning_rate)
