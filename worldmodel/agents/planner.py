"""From a planner's settings to a search over actions in physical units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from worldmodel.agents.hierarchy import PlannerConfig, action_search, two_levels
from worldmodel.agents.objective import task_objective
from worldmodel.agents.task import TaskConfig
from worldmodel.errors import RegistrationError, SettingsError, UserError
from worldmodel.planners import HierarchicalConfig, Planner, RetrievalConfig, SearchConfig, World
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.worlds import AnyWorld
from worldmodel.registry import PLANNERS
from worldmodel.spec import ActionSpec

__all__ = [
    "Bounds",
    "device_of",
    "follows_gradients",
    "known_bounds",
    "make_planner",
    "make_search",
    "search_name",
]


class Bounds(NamedTuple):
    """Action bounds ``[A]`` in physical units."""

    low: Tensor
    high: Tensor
    rest: Tensor

    @classmethod
    def of(cls, actions: ActionSpec) -> Bounds:
        """Those of a spec."""
        return cls(*(torch.tensor(end) for end in (actions.low, actions.high, actions.rest)))

    def only(self, dims: Sequence[int] | Tensor | None) -> Bounds:
        """The same in some dimensions, and rest in the others; None for all."""
        if dims is None:
            return self
        kept = torch.zeros_like(self.high, dtype=torch.bool)
        kept[dims if isinstance(dims, Tensor) else list(dims)] = True
        return self._replace(
            low=self.low.where(kept, self.rest), high=self.high.where(kept, self.rest)
        )

    def to(self, device: torch.device) -> Bounds:
        """The same on a device."""
        return Bounds(*(end.to(device) for end in self))


def make_search(
    config: SearchConfig, low: Tensor, high: Tensor, rest: Tensor | None = None
) -> Planner[Any]:
    """The search that settings are of, within action bounds ``[A]`` in physical units.

    A planner takes ``rest`` only where it is not zero, or the bound that is nearest to it.
    """
    name, part = PLANNERS.named(config)
    if config.receding_horizon > config.horizon:
        raise SettingsError(
            f"Expected receding_horizon of at most horizon ({config.horizon}) of planner '{name}', "
            f"got {config.receding_horizon}"
        )
    still = torch.zeros_like(low).clamp(low, high)
    told = () if rest is None or bool((rest == still).all()) else (rest,)
    planner: Planner[Any] = part.make(config, low, high, *told)
    needed = ("init", "plan", "shift", "receding_horizon")
    if missing := [member for member in needed if not hasattr(planner, member)]:
        raise RegistrationError(
            f"Expected planner '{name}' to have {', '.join(needed)}, got one without "
            f"{', '.join(missing)}; see worldmodel.planners.Planner"
        )
    return planner


def search_name(config: PlannerConfig) -> str:
    """What the planner that settings are of is called, as in ``planner=…``."""
    return PLANNERS.named(config)[0]


def follows_gradients(config: SearchConfig) -> bool:
    """Whether the planner that settings are of needs a world that gradients pass through."""
    return bool(getattr(PLANNERS.named(config)[1].make, "gradients", False))


def make_planner(
    world: World,
    task: TaskConfig,
    config: PlannerConfig,
    low: Tensor,
    high: Tensor,
    rest: Tensor | None = None,
) -> Planner[Any]:
    """The planner that settings are of; one on two time scales has its guide above the search.

    Args:
        world: To search in.
        task: Says what a planner on two time scales pursues.
        config: Settings.
        low: Lower action bounds ``[A]``, physical units. Dimensions that never moved in the
            world's data stay at rest.
        high: Upper ones.
        rest: What does nothing, ``[A]``; None for zero.

    Raises:
        UserError: The world lacks what the planner needs.
    """
    if isinstance(world, TokenWorld) and world.predictor.config.extrinsics and world.camera is None:
        raise UserError(
            "Expected a checkpoint that plans without the camera's pose, got one trained with "
            "predictor.model.extrinsics=true; `plan` and `landscape` take it as "
            "camera_pose=[x,y,z,a,b,c], from Python it is `world.camera`"
        )
    search = action_search(config)
    elites = getattr(search, "elites", 1)
    if 0 < task.rescore < elites:
        raise UserError(
            f"Expected task.rescore of at least the planner's {elites} elites, which are to be "
            f"among those that all terms judge, got {task.rescore}; raise it, or lower elites"
        )
    bounds = Bounds(low, high, torch.zeros_like(low) if rest is None else rest)
    fast = make_search(search, *known_bounds(world, bounds).to(device_of(world)))
    if not isinstance(config, HierarchicalConfig | RetrievalConfig):
        return fast
    pursuit = task_objective(world, replace(task, energy=config.towards))
    return two_levels(world, config, fast, pursuit, goal_proprio=task.goal_proprio)


def known_bounds(world: World, bounds: Bounds) -> Bounds:
    """The bounds, without the dimensions that never moved in what a world was trained on."""
    if not isinstance(world, AnyWorld):
        return bounds
    return bounds.only((world.predictor.scale_actions.scale > 0).cpu())


def device_of(world: World) -> torch.device:
    """Where a world imagines; one that is no model does on the CPU."""
    parameters = world.parameters() if isinstance(world, nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), torch.device("cpu"))
