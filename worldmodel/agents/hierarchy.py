"""Two time scales over a compact world: from settings to a guide above the fast planner."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

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
from worldmodel.predictors.compact_world import CompactWorld
from worldmodel.predictors.slow_world import SlowWorld

__all__ = ["PlannerConfig", "Pursuit", "fast_search", "two_levels"]

PlannerConfig = SearchConfig | HierarchicalConfig | RetrievalConfig


class Pursuit(Protocol):
    """From goal latents to what is minimised to get there."""

    def __call__(self, goal_latents: Tensor, with_arm: Tensor | bool | None = None) -> Objective:
        """The objective.

        Args:
            goal_latents: ``[B, N, D]``.
            with_arm: Whether the arm's place counts, may be ``[B]``; None for as the task has it.
        """
        ...


def fast_search(config: PlannerConfig) -> SearchConfig:
    """Settings of the search over actions."""
    return config.fast if isinstance(config, HierarchicalConfig | RetrievalConfig) else config


def two_levels(
    world: World,
    config: HierarchicalConfig | RetrievalConfig,
    fast: Planner[Any],
    pursuit: Pursuit,
    *,
    goal_arm: bool,
) -> Planner[Any]:
    """Sub-goals, pursued by a fast planner.

    A sub-goal counts with the place of the arm, which is what leads round an object.

    Args:
        world: Its macro-actions or its memory name the sub-goals.
        config: Settings of the guide.
        fast: Pursues the sub-goals.
        pursuit: What it minimises for them, and for the goal.
        goal_arm: Whether the arm's place counts in the goal itself.

    Raises:
        UserError: The world has no macro-actions, or no memory.
    """
    if not isinstance(world, CompactWorld):
        raise UserError(
            "Expected a checkpoint of predictor=compact, whose latents sub-goals are; plan with "
            "planner=cem in this one"
        )

    def towards(latents: Tensor, direct: Tensor) -> Objective:
        return pursuit(latents, ~direct | goal_arm)

    guide, share = _guide(world, config, goal_arm)
    return Hierarchical(guide, fast, towards, hold=config.hold, near=config.near, share=share)


def _guide(
    world: CompactWorld, config: HierarchicalConfig | RetrievalConfig, goal_arm: bool
) -> tuple[Guide[Any], float]:
    """The guide, and its share of the time before a deadline."""
    if isinstance(config, HierarchicalConfig):
        slow = SlowWorld(world)
        bound = torch.full((slow.action_width,), config.spread, device=_device(world))
        prior: Callable[[Tensor], Proposal] | None = None
        if config.prior:
            prior = partial(slow.prior, with_arm=goal_arm)
        return MacroSearch(CEM(config.slow, -bound, bound), slow, prior), config.share
    latents, _ = world.predictor.memory.recall()
    if len(latents) == 0:
        raise UserError(
            "Expected a checkpoint that remembers moments of its data, got one that does not; "
            "train it again, with `worldmodel train init=…` from what it is"
        )
    arm = world.predictor.arm(latents)
    moments = Moments(latents[:, None], world.predictor.state_features.inverse(arm))
    return Retrieval(config, moments, world.distance), 0.5


def _device(world: CompactWorld) -> torch.device:
    return world.predictor.memory.latents.device
