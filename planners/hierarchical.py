"""Planning on two time scales: a guide names sub-goals, a low-level planner pursues the next.

Hierarchical planning with latent world models (arXiv:2604.03208): a high-level planner searches
macro-actions in a high-level world for a way to the goal, and the first latent that it predicts is
the goal of the low-level planner. Any planner does for either level, and sub-goals may come from
elsewhere, as from ``planners.retrieval``.

Shapes: see ``planners.protocols``; G is the number of sub-goals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, Protocol, TypeVar

import pydantic.dataclasses
import torch
from torch import Tensor

from worldmodel.planners import clock
from worldmodel.planners.optimizers.cem import CEMConfig
from worldmodel.planners.problem import Objective, Plan, Planner, Problem, SubgoalPlan
from worldmodel.planners.protocols import Proposal, World
from worldmodel.planners.settings import CHECKED, Count, Number, Positive, ProperShare
from worldmodel.planners.timing import Stopwatch

__all__ = [
    "Guide",
    "Hierarchical",
    "HierarchicalConfig",
    "HierarchicalState",
    "HighLevelWorld",
    "MacroSearch",
    "Moments",
]

GuideT = TypeVar("GuideT")
FastT = TypeVar("FastT")
StateT = TypeVar("StateT")


class HighLevelWorld(World, Protocol):
    """A world whose actions are macro-actions, each of which stands for many control steps."""

    @property
    def span(self) -> int:
        """Control steps per macro-action."""
        ...


class Guide(Protocol[GuideT]):
    """The high level: whatever names sub-goals."""

    def init(self, batch: int, after: GuideT | None = None) -> GuideT:
        """The state before the first plan of ``batch`` episodes; see ``Planner.init``."""
        ...

    def look_ahead(
        self,
        problem: Problem,
        state: GuideT,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
    ) -> tuple[Tensor, int, GuideT]:
        """Sub-goals ``[B, G, N, D]`` in order, how many candidates were not finite, the state.

        Without time to look for any, G is 0.
        """
        ...

    def shift(self, state: GuideT, steps: int) -> GuideT:
        """The state once ``steps`` control steps have been carried out."""
        ...


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class HierarchicalConfig:
    """Settings of both levels.

    Attributes:
        high_level: Search over macro-actions; its horizon counts macros.
        low_level: Search over actions, towards the next sub-goal.
        spread: Bound of each number of a macro, whose prior is standard normal; ``high_level.std``
            is the share of it that is the first standard deviation.
        prior: Whether the macro prior proposes candidates to the high-level search.
        replan_every: Fast plans between high-level ones.
        near: Goal energy up to which the goal itself is pursued. The default, imagined steps of a
            hindsight value, is about one macro.
        share: Of the time left before a deadline, what the high level may take.
        towards: Energy towards a sub-goal, ``value`` or ``latent`` distance.
    """

    high_level: CEMConfig = field(
        default_factory=lambda: CEMConfig(
            horizon=4, std=0.5, correlation=0.0, proposals=24, receding_horizon=1
        )
    )
    low_level: CEMConfig = field(default_factory=CEMConfig)
    spread: Positive = 2.0
    prior: bool = True
    replan_every: Count = 2
    near: Number = 4.0
    share: ProperShare = 0.5
    towards: str = "value"

    def __post_init__(self) -> None:
        if self.towards not in ("value", "latent"):
            raise ValueError(f"Expected towards value or latent, got '{self.towards}'")


class HierarchicalState(NamedTuple, Generic[GuideT, FastT]):
    """Both levels' states, what the low-level one pursues, and for how many plans it has.

    ``problem`` is the energy that the sub-goals were found for: another one needs others.
    """

    high_level: GuideT
    low_level: FastT
    subgoal_plan: SubgoalPlan | None = None
    objective: Objective | None = None
    problem: object = None
    plans: int = 0


class Hierarchical(Generic[GuideT, FastT]):
    """A guide above a low-level planner; itself a ``planners.problem.Planner``.

    The goal itself is pursued where it is ``near`` by the problem's goal energy, and where no
    sub-goal of the way is nearer to it than the present, so that the guide knows no better. Where
    the guide has no time, the way to this goal stays what it was, or is the goal itself.

    Args:
        guide: Names sub-goals on the way to the problem's goals.
        low_level: Plans towards the next one.
        towards: From latents ``[B, N, D]``, and for which episodes ``[B]`` they are the goal
            itself, to what the low-level planner minimises.
        replan_every: Fast plans between looks ahead.
        near: Goal energy up to which the goal itself is pursued.
        share: Of the time left before a deadline, what the guide may take.
    """

    def __init__(
        self,
        guide: Guide[GuideT],
        low_level: Planner[FastT],
        towards: Callable[[Tensor, Tensor], Objective],
        *,
        replan_every: int = 2,
        near: float = 4.0,
        share: float = 0.5,
    ) -> None:
        self._guide, self._low_level, self._towards = guide, low_level, towards
        self._replan_every, self._near, self._share = replan_every, near, share

    @property
    def receding_horizon(self) -> int:
        """Steps of a plan to carry out before planning again."""
        return self._low_level.receding_horizon

    def init(
        self, batch: int, after: HierarchicalState[GuideT, FastT] | None = None
    ) -> HierarchicalState[GuideT, FastT]:
        """Both levels before their first plan."""
        high_level, low_level = (
            (None, None) if after is None else (after.high_level, after.low_level)
        )
        return HierarchicalState(
            self._guide.init(batch, high_level), self._low_level.init(batch, low_level)
        )

    def shift(
        self, state: HierarchicalState[GuideT, FastT], steps: int
    ) -> HierarchicalState[GuideT, FastT]:
        """Both levels once ``steps`` actions have been executed; sub-goals stay where they are."""
        return state._replace(
            high_level=self._guide.shift(state.high_level, steps),
            low_level=self._low_level.shift(state.low_level, steps),
        )

    @torch.no_grad()
    def plan(
        self,
        problem: Problem,
        state: HierarchicalState[GuideT, FastT],
        *,
        generator: torch.Generator,
        deadline: float | None = None,
        profile: bool = False,
    ) -> tuple[Plan, HierarchicalState[GuideT, FastT]]:
        """The low level's plan and the way it is on; see ``planners.problem.Planner.plan``."""
        watch, nonfinite = Stopwatch(problem.latents.device, profile), 0
        if state.plans == self._replan_every or state.problem is not problem.energy:
            state, nonfinite = self._look_ahead(problem, state, generator, deadline)
        watch.lap("high_level")
        assert state.objective is not None
        pursued = replace(problem, **state.objective._asdict())
        plan, low_level = self._low_level.plan(
            pursued, state.low_level, generator=generator, deadline=deadline, profile=profile
        )
        plan = replace(
            plan,
            nonfinite=plan.nonfinite + nonfinite,
            timings=watch.seconds | plan.timings,
            subgoals=state.subgoal_plan,
        )
        return plan, state._replace(low_level=low_level, plans=state.plans + 1)

    def _look_ahead(
        self,
        problem: Problem,
        state: HierarchicalState[GuideT, FastT],
        generator: torch.Generator,
        deadline: float | None,
    ) -> tuple[HierarchicalState[GuideT, FastT], int]:
        if problem.goals is None:
            raise ValueError("Expected a problem with goal latents, which sub-goals lead to")
        if deadline is not None:
            now = clock.now()
            deadline = now + self._share * (deadline - now)
        subgoals, nonfinite, high_level = self._guide.look_ahead(
            problem, state.high_level, generator=generator, deadline=deadline
        )
        found = subgoals.shape[1] > 0
        if not found and state.problem is problem.energy:
            return state._replace(high_level=high_level, plans=0), nonfinite
        here = _to_go(problem, problem.latents[:, -1:])
        left = _to_go(problem, subgoals) if found else here[:, :0]
        direct = (here[:, 0] <= self._near) | ~(left < here).any(1)
        first = subgoals[:, 0] if found else problem.goals
        pursued = torch.where(direct[:, None, None], problem.goals, first)
        state = state._replace(
            high_level=high_level,
            subgoal_plan=SubgoalPlan(subgoals, left, direct),
            objective=self._towards(pursued, direct),
            problem=problem.energy,
            plans=0,
        )
        return state, nonfinite


@dataclass(frozen=True)
class Moments:
    """Single moments as paths of one step; see ``planners.protocols.Futures``."""

    latents: Tensor
    states: Tensor


def _to_go(problem: Problem, latents: Tensor) -> Tensor:
    """Goal energies ``[B, G]`` of moments ``[B, G, N, D]``; states are the present ones."""
    states = problem.states[:, -1:, None].expand(-1, latents.shape[1], -1, -1)
    return problem.energy.to_go(Moments(latents.unsqueeze(2), states))


class MacroState(NamedTuple, Generic[StateT]):
    """The high-level planner's state, and control steps carried out of its first macro."""

    planner: StateT
    steps: int = 0


class MacroSearch(Generic[StateT]):
    """The guide that searches macro-actions: sub-goals are where they lead in the high-level world.

    It minimises the problem's goal energy; the world energy judges another world.

    Args:
        planner: Search, over macro-actions.
        world: What macro-actions lead to.
        prior: From goal latents ``[B, N, D]`` to macro-actions to start from, or None.
    """

    def __init__(
        self,
        planner: Planner[StateT],
        world: HighLevelWorld,
        prior: Callable[[Tensor], Proposal] | None = None,
    ) -> None:
        self._planner, self._world, self._prior = planner, world, prior

    def init(self, batch: int, after: MacroState[StateT] | None = None) -> MacroState[StateT]:
        """The planner before its first plan."""
        return MacroState(self._planner.init(batch, None if after is None else after.planner))

    def shift(self, state: MacroState[StateT], steps: int) -> MacroState[StateT]:
        """Drop the macros whose control steps have all been carried out."""
        macros, rest = divmod(state.steps + steps, self._world.span)
        return MacroState(self._planner.shift(state.planner, macros), rest)

    def look_ahead(
        self,
        problem: Problem,
        state: MacroState[StateT],
        *,
        generator: torch.Generator,
        deadline: float | None = None,
    ) -> tuple[Tensor, int, MacroState[StateT]]:
        """Search; see ``Guide.look_ahead``."""
        if self._prior is None or problem.goals is None:
            proposal = None
        else:
            proposal = self._prior(problem.goals)
        high_level = replace(
            problem,
            world=self._world,
            energy=problem.energy.goal_alone(),
            proposal=proposal,
            committed=None,
        )
        plan, planner = self._planner.plan(
            high_level, state.planner, generator=generator, deadline=deadline
        )
        state = state._replace(planner=planner)
        if plan.trace.shape[1] == 0:
            return problem.latents[:, :0], plan.nonfinite, state
        ahead = self._world.rollout(problem.latents, problem.states, plan.actions[:, None])
        return ahead.latents[:, 0], plan.nonfinite, state
