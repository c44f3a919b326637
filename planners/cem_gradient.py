"""CEM whose elites are refined by gradients: search finds the valley, Adam its floor.

As in Bharadhwaj, Xie and Shkurti 2020 (arXiv:2003.08375), but with all of the search before the
refinement, so that gradients, at three rollouts each, are spent on the best candidates only.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from planners.box import Start
from planners.cem import CEM, CEMConfig
from planners.gradient import descend, differentiable
from planners.problem import Plan, Problem
from planners.search import Search
from planners.settings import at_least_one, no_more_than

__all__ = ["CEMGradient", "CEMGradientConfig"]


@dataclass(frozen=True)
class CEMGradientConfig(CEMConfig):
    """Settings of the search, and of the refinement.

    Attributes:
        refined: Elites that are refined.
        steps: Steps of Adam.
        learning_rate: Of Adam, as a share of half the action range.
    """

    samples: int = 64
    iterations: int = 2
    refined: int = 4
    steps: int = 4
    learning_rate: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "refined", "steps")
        no_more_than(self, refined="elites")
        if self.learning_rate <= 0:
            raise ValueError(f"Expected learning_rate > 0, got {self.learning_rate}")


class CEMGradient:
    """The planner; it holds constants only, so one serves any number of episodes.

    Args:
        config: Settings.
        low: Lower action bounds ``[A]``, physical units; their device is the planner's.
        high: Upper action bounds ``[A]``.
    """

    def __init__(self, config: CEMGradientConfig, low: Tensor, high: Tensor) -> None:
        self.config = config
        self._cem = CEM(config, low, high)

    @property
    def execute(self) -> int:
        """Steps of a plan to carry out before planning again."""
        return self._cem.execute

    def init(self, batch: int) -> Start:
        """A cold start: at rest."""
        return self._cem.init(batch)

    def shift(self, state: Start, steps: int) -> Start:
        """Drop the executed steps and rest at the end; cold if nothing of the plan is left."""
        return self._cem.shift(state, steps)

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
        config = self.config
        with differentiable(problem) as problem:
            search = Search(problem, state, config.horizon, deadline, profile)
            with torch.no_grad():
                elites = self._cem.find(search, state, generator)
            best = elites.actions[:, : config.refined]
            descend(search, self._cem.box, best, config.steps, config.learning_rate)
            plan = search.plan()
        return plan, Start(plan.actions, warm=True)
