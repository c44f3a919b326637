"""Random shooting: the best of sequences drawn at random; what any search has to beat.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from planners.box import ActionBox, Start
from planners.problem import Plan, Problem
from planners.search import Search
from planners.settings import at_least_one, no_more_than

__all__ = ["RandomShooting", "RandomShootingConfig"]


@dataclass(frozen=True)
class RandomShootingConfig:
    """Settings.

    Attributes:
        samples: Candidates per iteration, drawn uniformly within the bounds.
        iterations: Rounds of drawing and evaluating: a deadline can end the search between them.
        horizon: Control steps looked ahead; a multiple of the world's stride.
        proposals: Candidates of the first population asked of the policy prior, if there is one.
        execute: Steps of a plan carried out before planning again.
        warm_start: Keep the rest of the last plan as a candidate.
        active_dims: Action dimensions to search over; the others stay zero.
    """

    samples: int = 96
    iterations: int = 3
    horizon: int = 8
    proposals: int = 24
    execute: int = 2
    warm_start: bool = True
    active_dims: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        at_least_one(self, "samples", "iterations", "horizon", "execute")
        no_more_than(self, proposals="samples", execute="horizon")


class RandomShooting:
    """The planner; it holds constants only, so one serves any number of episodes.

    Args:
        config: Settings.
        low: Lower action bounds ``[A]``, physical units; their device is the planner's.
        high: Upper action bounds ``[A]``.
    """

    def __init__(self, config: RandomShootingConfig, low: Tensor, high: Tensor) -> None:
        self.config = config
        self._box = ActionBox(low, high, config.active_dims)

    @property
    def execute(self) -> int:
        """Steps of a plan to carry out before planning again."""
        return self.config.execute

    def init(self, batch: int) -> Start:
        """A cold start: at rest."""
        return self._box.cold(batch, self.config.horizon)

    @torch.inference_mode()
    def shift(self, state: Start, steps: int) -> Start:
        """Drop the executed steps and rest at the end; cold if nothing of the plan is left."""
        return self._box.shifted(state, steps if self.config.warm_start else self.config.horizon)

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
        config = self.config
        search = Search(problem, state, config.horizon, deadline, profile)
        proposals = search.propose(self._box, config.proposals, config.horizon, generator)
        search.watch.lap("proposal")
        # Episodes share what is drawn, so that a batch decides as its episodes would one by one.
        shape = (config.samples, *state.actions.shape[1:])
        for iteration in search.rounds(config.iterations):
            uniform = torch.rand(
                shape, generator=generator, device=state.actions.device, dtype=state.actions.dtype
            )
            drawn = self._box.low + uniform * (self._box.high - self._box.low)
            candidates = drawn.repeat(len(state.actions), 1, 1, 1)
            if iteration == 0:
                candidates[:, -1] = state.actions
                if proposals is not None:
                    candidates[:, : proposals.shape[1]] = proposals
            search.evaluate(candidates)
        plan = search.plan()
        return plan, Start(plan.actions, warm=True)
