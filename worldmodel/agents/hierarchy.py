"""Two time scales over a vector world: from settings to a guide above the low-level planner."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from worldmodel.agents.objective import Pursuit
from worldmodel.errors import UserError
from worldmodel.planners import (
    CEM,
    Guide,
    Hierarchical,
    HierarchicalConfig,
    MacroSearch,
    Moments,
    Objective,
    Planner,
    Proposal,
    Retrieval,
    RetrievalConfig,
    SearchConfig,
    World,
)
from worldmodel.predictors.high_level import HighLevelWorld
from worldmodel.predictors.vector_world import VectorWorld

__all__ = ["PlannerConfig", "action_search", "two_levels"]

PlannerConfig = SearchConfig | HierarchicalConfig | RetrievalConfig


def action_search(config: PlannerConfig) -> SearchConfig:
    """Settings of the search over actions."""
    return config.low_level if isinstance(config, HierarchicalConfig | RetrievalConfig) else config


def two_levels(
    world: World,
    config: HierarchicalConfig | RetrievalConfig,
    low_level: Planner[Any],
    pursuit: Pursuit,
    *,
    goal_proprio: bool,
) -> Planner[Any]:
    """Sub-goals, pursued by a low-level planner.

    A sub-goal counts with the place of the arm, which is what leads round an object.

    Args:
        world: Its macro-actions or its memory name the sub-goals.
        config: Settings of the guide.
        low_level: Pursues the sub-goals.
        pursuit: What it minimises for them, and for the goal.
        goal_proprio: Whether the arm's place counts in the goal itself.

    Raises:
        UserError: The world has no macro-actions, or no memory.
    """
    if not isinstance(world, VectorWorld):
        raise UserError(
            "Expected a checkpoint of predictor=vector, whose latents sub-goals are; plan with "
            "planner=cem in this one"
        )

    def towards(latents: Tensor, direct: Tensor) -> Objective:
        return pursuit(latents, ~direct | goal_proprio)

    guide, share = _guide(world, config, goal_proprio)
    return Hierarchical(
        guide, low_level, towards, replan_every=config.replan_every, near=config.near, share=share
    )


def _guide(
    world: VectorWorld, config: HierarchicalConfig | RetrievalConfig, goal_proprio: bool
) -> tuple[Guide[Any], float]:
    """The guide, and its share of the time before a deadline."""
    if isinstance(config, HierarchicalConfig):
        high_level = HighLevelWorld(world)
        bound = torch.full((high_level.action_width,), config.spread, device=_device(world))
        prior: Callable[[Tensor], Proposal] | None = None
        if config.prior:
            prior = partial(high_level.prior, with_proprio=goal_proprio)
        return MacroSearch(CEM(config.high_level, -bound, bound), high_level, prior), config.share
    latents, _ = world.predictor.memory.recall()
    if len(latents) == 0:
        raise UserError(
            "Expected a checkpoint that remembers moments of its data, got one that does not; "
            "train it again, with `worldmodel train init=…` from what it is"
        )
    arm = world.predictor.proprio(latents)
    moments = Moments(latents[:, None], world.predictor.state_features.inverse(arm))
    return Retrieval(config, moments, world.distance), 0.5


def _device(world: VectorWorld) -> torch.device:
    return world.predictor.memory.latents.device
