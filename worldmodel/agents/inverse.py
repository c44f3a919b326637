"""Acts as an inverse model says, block by block: neither a search nor anything imagined.

Shapes: B episodes, A action width, H control steps of a block.
"""

from __future__ import annotations

import torch

from worldmodel.agents.objective import task_objective
from worldmodel.agents.planner import Bounds, device_of, known_bounds
from worldmodel.agents.policies import search_agent
from worldmodel.agents.task import TaskConfig
from worldmodel.errors import UserError
from worldmodel.planners import Agent, Plan, Problem
from worldmodel.predictors.lewm import LewmPredictor
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.predictors.worlds import AnyWorld

__all__ = ["InversePlanner", "inverse_agent"]


def inverse_agent(world: AnyWorld, task: TaskConfig, bounds: Bounds, ahead: int) -> Agent[int]:
    """A world's inverse model, asked anew after every block.

    Args:
        world: Of LeWorldModel.
        task: What is pursued; its energy is never asked for.
        bounds: Of the actions.
        ahead: Control steps from start to goal.

    Raises:
        UserError: The world has no inverse model, or an untrained one.
    """
    name = world.checkpoint or "the world"
    if not isinstance(world, LewmWorld):
        raise UserError(
            f"Expected a world of predictor=lewm, which has an inverse model, got {name}; train "
            "one with predictor=lewm"
        )
    if not world.predictor.inverse.trained:
        raise UserError(
            f"Expected a trained inverse model, got an untrained one in {name}, as worlds of "
            f"released weights have it; train it with predictor=lewm init={name} "
            "predictor.training.steps=0"
        )
    searched = known_bounds(world, bounds).only(task.active_dims).to(device_of(world))
    planner = InversePlanner(world.predictor, searched, -(-ahead // world.stride))
    return search_agent(world, task_objective(world, task), task, planner)


class InversePlanner:
    """Carries out the block that the inverse model gives; its state is how many blocks are left.

    They are counted down from the goal's distance at the start to 1, where they stay.

    Args:
        predictor: Holds the inverse model.
        bounds: Of the actions.
        ahead: Blocks from start to goal.
    """

    def __init__(self, predictor: LewmPredictor, bounds: Bounds, ahead: int) -> None:
        self.receding_horizon = predictor.config.stride
        self._predictor, self._ahead = predictor, ahead
        self._low, self._high, _ = bounds

    def init(self, batch: int, after: int | None = None) -> int:
        """All blocks are left."""
        return self._ahead

    def shift(self, state: int, steps: int) -> int:
        """One fewer after every block."""
        return max(1, state - steps // self.receding_horizon)

    def plan(
        self,
        problem: Problem,
        state: int,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
        profile: bool = False,
    ) -> tuple[Plan, int]:
        """The block, unevaluated: its energy is NaN."""
        assert problem.goals is not None
        model, latents = self._predictor, problem.latents[:, -1, 0]
        left = torch.full((len(latents),), state, device=latents.device)
        scaled = model.inverse(latents, problem.goals[:, 0], left)
        actions = model.scale_actions.inverse(scaled.unflatten(1, (self.receding_horizon, -1)))
        if not actions.isfinite().all():
            raise FloatingPointError(
                "The inverse model gives actions that are not finite; look for NaN in the frames"
            )
        unknown = torch.full((len(actions),), torch.nan)
        return Plan(actions.clamp(self._low, self._high), unknown, {}, unknown[:, None], 0), state
