"""Who decides in an episode: a planner in a world's imagination, or the policy prior alone.

Shapes: B episodes, A action width, P proprioceptive width, H horizon, K goal images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from worldmodel.agents.hierarchy import PlannerConfig, action_search
from worldmodel.agents.objective import task_objective
from worldmodel.agents.planner import Bounds, device_of, known_bounds, make_planner
from worldmodel.agents.task import TaskConfig
from worldmodel.planners import Agent, Objective, Plan, Planner, PlanRecord, Problem, World

__all__ = ["Policy", "PriorPlanner", "planning_agent", "prior_agent", "search_agent"]


class Policy(Protocol):
    """Decides for B episodes in step; ``planners.Agent`` is one. It sees observations only."""

    @property
    def records(self) -> Sequence[PlanRecord]:
        """The plans made since the last reset."""
        ...

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Take up new goals, ``uint8 [B, h, w, 3]`` or sub-goals ``[B, K, h, w, 3]``."""
        ...

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """Actions ``[B, A]`` for images ``uint8 [B, h, w, 3]`` and states ``[B, P]``."""
        ...


def planning_agent(
    world: World,
    task: TaskConfig,
    planner: PlannerConfig,
    bounds: Bounds,
    budget_s: float | None = None,
    compiled: bool = False,
) -> Agent[Any]:
    """The planner: what the task says, minimised in the world's imagination, on its device.

    Args:
        world: To imagine in.
        task: What to minimise.
        planner: Settings of the search.
        bounds: Of the actions.
        budget_s: Seconds that a plan may take, from images in to actions out; None: no limit.
        compiled: Plan with what ``torch.compile`` makes of world and energy.
    """
    search = make_planner(world, task, planner, *bounds)
    return search_agent(world, task_objective(world, task), task, search, budget_s, compiled)


def search_agent(
    world: World,
    objective: Callable[[Tensor], Objective],
    task: TaskConfig,
    planner: Planner[Any],
    budget_s: float | None = None,
    compiled: bool = False,
) -> Agent[Any]:
    """A search through a world's imagination, again after every few steps."""
    return Agent(
        world,
        planner,
        objective,
        stage_steps=task.stage_steps,
        budget_s=budget_s,
        compiled=compiled,
        device=device_of(world),
    )


def prior_agent(
    world: World, task: TaskConfig, planner: PlannerConfig, bounds: Bounds
) -> Agent[Any]:
    """The policy prior alone, asked anew at every step: no search."""
    searched = known_bounds(world, bounds).only(action_search(planner).active_dims)
    objective = task_objective(world, replace(task, prior=True))
    return search_agent(world, objective, task, PriorPlanner(searched.to(device_of(world))))


class PriorPlanner:
    """Carries out the first step of what the policy prior proposes first.

    Args:
        bounds: Of its actions.
    """

    receding_horizon = 1

    def __init__(self, bounds: Bounds) -> None:
        self._low, self._high, _ = bounds

    def init(self, batch: int, after: None = None) -> None:
        """There is nothing to remember."""

    def shift(self, state: None, steps: int) -> None:
        """There is nothing to remember."""

    def plan(
        self,
        problem: Problem,
        state: None,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
        profile: bool = False,
    ) -> tuple[Plan, None]:
        """The proposal, unevaluated: its energy is NaN."""
        assert problem.proposal is not None
        proposals = problem.proposal(
            problem.latents,
            problem.states,
            samples=1,
            horizon=problem.world.stride,
            generator=generator,
        )
        if not proposals.isfinite().all():
            raise FloatingPointError(
                "The policy prior proposes actions that are not finite; look for NaN in the frames "
                "or states"
            )
        actions = proposals[:, 0].clamp(self._low, self._high)
        unknown = torch.full((len(actions),), torch.nan)
        return Plan(actions, unknown, {}, unknown[:, None], 0), None
