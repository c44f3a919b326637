"""What planners have in common that leave to the next plan the rest of theirs.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar, Generic, TypeVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.planners.box import ActionBox, Start
from worldmodel.planners.problem import Plan, Problem
from worldmodel.planners.search import Search
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

__all__ = ["SequenceConfig", "SequencePlanner"]


@dataclass(frozen=True, config=CHECKED)
class SequenceConfig:
    """Settings of every search over sequences; those of a planner of one's own may begin here.

    Attributes:
        samples: Candidates per iteration, or starts that are improved side by side.
        iterations: Rounds of proposing and evaluating.
        horizon: Control steps looked ahead; a multiple of the world's stride.
        proposals: Candidates of the first round asked of the policy prior, if there is one.
        receding_horizon: Steps of a plan carried out before planning again.
        warm_start: Begin from the rest of the last plan.
        active_dims: Action dimensions to search over; the others stay at rest. None for all.
    """

    samples: Samples = 96
    iterations: Iterations = 3
    horizon: Horizon = 8
    proposals: Proposals = 24
    receding_horizon: Horizon = 2
    warm_start: bool = True
    active_dims: tuple[Dimension, ...] | None = None

    def __post_init__(self) -> None:
        distinct(self, "active_dims")
        no_more_than(self, proposals="samples", receding_horizon="horizon")


SettingsT = TypeVar("SettingsT", bound=SequenceConfig)


class SequencePlanner(ABC, Generic[SettingsT]):
    """A planner; it holds constants only, so one serves any number of episodes.

    Args:
        config: Settings.
        low: Lower action bounds ``[A]``, physical units; their device is the planner's.
        high: Upper action bounds ``[A]``.
        rest: What does nothing, ``[A]``; None for zero.
    """

    gradients: ClassVar[bool] = False
    """Whether the search follows gradients through the world."""

    def __init__(
        self, config: SettingsT, low: Tensor, high: Tensor, rest: Tensor | None = None
    ) -> None:
        self.config = config
        self.box = ActionBox(low, high, config.active_dims, rest)

    @abstractmethod
    def find(self, search: Search) -> Tensor | None:
        """Evaluate candidates; sequences ``[B, n, H, A]`` for the next search to try, if any."""

    @property
    def receding_horizon(self) -> int:
        """Steps of a plan to carry out before planning again."""
        return self.config.receding_horizon

    def init(self, batch: int, after: Start | None = None) -> Start:
        """A cold start: at rest."""
        cold = self.box.cold(batch, self.config.horizon)
        return cold if after is None else cold._replace(pace=after.pace)

    @torch.no_grad()
    def shift(self, state: Start, steps: int) -> Start:
        """Drop the executed steps and rest at the end; cold if nothing of the plan is left."""
        return self.box.shifted(state, steps)

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
        with _recording(problem, self.gradients) as problem:
            search = Search(
                problem,
                self.box,
                state,
                self.config.warm_start,
                self.config.proposals,
                generator,
                deadline,
                profile,
            )
            kept = self.find(search)
            plan = search.plan()
        kept = plan.actions[:, None][:, :0] if kept is None else kept
        searched = self.config.horizon if plan.trace.shape[1] > 0 else search.fallback.searched
        return plan, Start(plan.actions, searched, kept, search.pace)


@contextmanager
def _recording(problem: Problem, gradients: bool) -> Iterator[Problem]:
    """The problem, where gradients are recorded or where they are not."""
    if not gradients:
        with torch.inference_mode():
            yield problem
        return
    with torch.inference_mode(False), torch.enable_grad():
        # What was made in inference mode can take no part in gradients; a copy can.
        yield replace(problem, latents=problem.latents.clone(), states=problem.states.clone())
