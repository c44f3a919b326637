"""What ``worldmodel bench`` plans in: the vector world, and a world of patch tokens.

Shapes: B episodes, S candidates, H control steps, T frames, N tokens of width D, A action, P state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from worldmodel.agents.hierarchy import PlannerConfig, two_levels
from worldmodel.agents.objective import Pursuit
from worldmodel.agents.planner import Bounds, make_search, search_name
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.latency.harness import Workload
from worldmodel.latency.uncached import UncachedTokenWorld
from worldmodel.planners import (
    HierarchicalConfig,
    LatentDistance,
    Objective,
    Planner,
    RetrievalConfig,
    SearchConfig,
    TotalEnergy,
    UncertaintyPenalty,
    World,
)
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.weights.world import load_token_world

__all__ = [
    "RANDOM",
    "Subject",
    "sized",
    "token_subject",
    "token_world",
    "untrained_tokens",
    "vector_subject",
]

RANDOM = "random"
_LIMIT = 0.05  # of an action nobody describes; latency does not depend on it
SearchT = TypeVar("SearchT", bound=SearchConfig)


@dataclass(frozen=True)
class Subject:
    """A world to plan in, and what to plan for.

    Attributes:
        world: On the device to be measured.
        plain_world: The same for the plain baseline, without what makes ``world`` fast.
        objective: From goal latents ``[B, N, D]``.
        image_size: Side of the frames it takes.
        context: T, frames it is shown.
        action_width: A.
        bounds: Of actions.
        state_width: P.
        pursuit: The same for sub-goals, if the world can have any.
        cameras: K, whose frames stand side by side.
    """

    world: World
    plain_world: World
    objective: Callable[[Tensor], Objective]
    image_size: int
    context: int
    action_width: int
    bounds: Bounds
    state_width: int
    pursuit: Pursuit | None = None
    cameras: int = 1

    @torch.no_grad()
    def workload(self, episodes: int, device: torch.device, seed: int) -> Workload:
        """Random frames, goals and states: what they show makes no difference to the time."""
        noise = torch.Generator().manual_seed(seed)
        size = self.image_size
        frames, goals = (
            torch.randint(256, (episodes, count, size, self.cameras * size, 3), generator=noise)
            .to(torch.uint8)
            .to(device)
            for count in (self.context, 1)
        )
        states = torch.rand(episodes, self.context, self.state_width, generator=noise).to(device)
        goal = self.world.encode(goals)
        latents = self.world.project(goal, self.world.encode(frames)[:, 0])[:, 0]
        return Workload(self.world, self.objective(latents), frames, states, goal[:, 0], latents)

    def planner(
        self, config: PlannerConfig, search: SearchConfig, device: torch.device
    ) -> tuple[str, Planner[Any]]:
        """What is measured, and its name: a search, with sub-goals above it where there are any.

        Args:
            config: Settings of the planner.
            search: Of its search over actions, at the size to be measured.
            device: To plan on.
        """
        fast = make_search(search, *self.bounds.to(device))
        if self.pursuit is None or not isinstance(config, HierarchicalConfig | RetrievalConfig):
            return search_name(search), fast
        name = "hierarchical" if isinstance(config, HierarchicalConfig) else "retrieval"
        return name, two_levels(self.world, config, fast, self.pursuit, goal_proprio=False)


def sized(search: SearchT, samples: int, horizon: int, iterations: int) -> SearchT:
    """Settings of the search at another size; what exceeds it shrinks with it.

    Raises:
        ValueError: The search does not exist at this size.
    """
    wanted = {"samples": samples, "horizon": horizon, "iterations": iterations}
    sizes: dict[str, Any] = {name: n for name, n in wanted.items() if hasattr(search, name)}
    most = {
        "elites": samples,
        "proposals": samples,
        "refined": samples,
        "receding_horizon": horizon,
    }
    sizes |= {k: min(getattr(search, k), size) for k, size in most.items() if hasattr(search, k)}
    sized: SearchT = replace(cast(Any, search), **sizes)
    return sized


def vector_subject(world: VectorWorld, *, learned: bool = True) -> Subject:
    """A vector world with all that takes part in planning.

    One frame of context is all that it uses, so there is nothing that the baseline could run again.

    Args:
        world: On the device to be measured.
        learned: Plan with value, disagreement and prior; or with the distance of latents alone.
    """
    known = world.uncertainties.get("disagreement")
    uncertainty = None if known is None else UncertaintyPenalty(*known)

    def objective(goal_latents: Tensor, with_proprio: Tensor | bool | None = None) -> Objective:
        if not learned:
            return _distance(goal_latents)
        counts = False if with_proprio is None else with_proprio
        energy = TotalEnergy(world.goal_energy(goal_latents, counts), uncertainty)
        return Objective(energy, world.prior(goal_latents, counts))

    return Subject(
        world,
        world,
        objective,
        image_size=world.image_size,
        context=1,
        action_width=world.action_width,
        bounds=_bounds(world),
        state_width=world.predictor.config.state_width,
        pursuit=objective,
        cameras=world.encoder.cameras,
    )


def token_world(
    checkpoint: str, encoder: FrozenEncoder, *, width: int = 128, depth: int = 4
) -> TokenWorld:
    """A world of patch tokens: a checkpoint's, or ``random`` weights, which take as long.

    Args:
        checkpoint: Folder, or ``random``.
        encoder: Goes with random weights.
        width: Of the predictor of random weights.
        depth: Its blocks.
    """
    if checkpoint != RANDOM:
        return load_token_world(checkpoint)
    sizes = TokenPredictorConfig(
        tokens=encoder.tokens, token_width=encoder.width, width=width, depth=depth
    )
    return TokenWorld(encoder, TokenPredictor(sizes))


def untrained_tokens(count: int, *, width: int = 256, depth: int = 6) -> TokenWorld:
    """A world of so many patch tokens per frame, a square number, one frame of context, untrained.

    Args:
        count: N.
        width: Of the predictor.
        depth: Its blocks.
    """
    encoder = EncoderConfig(image_size=8 * isqrt(count), patch_size=8, width=128, depth=1)
    sizes = TokenPredictorConfig(
        tokens=count, token_width=encoder.width, width=width, depth=depth, context_frames=1
    )
    return TokenWorld(FrozenEncoder(VideoTransformer(encoder)), TokenPredictor(sizes))


def _bounds(world: VectorWorld | TokenWorld) -> Bounds:
    """Action bounds of a world's spec; of one without, some of the width that it takes."""
    if world.spec is not None:
        return Bounds.of(world.spec.actions)
    high = torch.full((world.predictor.config.action_width,), _LIMIT)
    return Bounds(-high, high, torch.zeros_like(high))


def token_subject(world: TokenWorld) -> Subject:
    """A token world, on the device to be measured, with latent distance, as V-JEPA 2-AC plans."""
    sizes = world.predictor.config
    return Subject(
        world,
        UncachedTokenWorld(world),
        _distance,
        image_size=world.image_size,
        context=sizes.context_frames,
        action_width=sizes.action_width,
        bounds=_bounds(world),
        state_width=sizes.state_width,
        cameras=world.encoder.cameras,
    )


def _distance(goal_latents: Tensor) -> Objective:
    """What V-JEPA 2-AC minimises: the L1 distance of the last latents to the goal's."""
    return Objective(TotalEnergy(LatentDistance(goal_latents)))
