"""A world that needs no training: a point that moves by its action, seen as one pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from planners import CEM, CEMConfig, LatentDistance, Problem, TotalEnergy


@dataclass
class Imagined:
    latents: Tensor
    states: Tensor
    actions: Tensor | None = None
    start_latents: Tensor | None = None
    start_states: Tensor | None = None
    members: Tensor | None = None


class PointWorld:
    """Latent ``[B, T, 1, A]`` = state = position; an action of width A is a displacement."""

    def __init__(self, stride: int = 1) -> None:
        self.stride = stride
        self.encoded: list[tuple[int, ...]] = []
        self.candidates: list[Tensor] = []

    def encode(self, frames: Tensor) -> Tensor:
        self.encoded.append(tuple(frames.shape))
        return frames[:, :, 0, :1].float() / 255

    def compare(self, latents: Tensor, look: Tensor) -> Tensor:
        return latents

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        self.candidates.append(actions.clone())
        path = latents[:, None, -1:, 0] + actions.cumsum(2)
        path = path[:, :, self.stride - 1 :: self.stride]
        return Imagined(path[..., None, :], path, actions, latents[:, -1], states[:, -1])


def bounds(width: int = 3, limit: float = 0.05) -> tuple[Tensor, Tensor]:
    return torch.full((width,), -limit), torch.full((width,), limit)


def problem(
    goal: Tensor, world: PointWorld | None = None, proposal: object = None, **distance: str
) -> Problem:
    """Go from the origin to ``goal`` ``[B, A]``."""
    start = torch.zeros(len(goal), 1, goal.shape[-1])
    energy = TotalEnergy(LatentDistance(goal[:, None], distance.get("metric", "l2")))
    return Problem(world or PointWorld(), start[:, :, None], start, energy, proposal)


def solve(problem: Problem, config: CEMConfig, seed: int = 0, **options: object) -> object:
    width = problem.latents.shape[-1]
    cem = CEM(config, *bounds(width))
    state = cem.init(len(problem.latents))
    return cem.plan(problem, state, generator=torch.Generator().manual_seed(seed), **options)[0]


@pytest.fixture
def point() -> SimpleNamespace:
    return SimpleNamespace(
        World=PointWorld, Imagined=Imagined, bounds=bounds, problem=problem, solve=solve
    )


@pytest.fixture
def black_box() -> Callable[[Callable[[Tensor], Tensor]], Problem]:
    """A problem whose energy is any function of the end point ``[B, S, A]``."""

    def build(function: Callable[[Tensor], Tensor], width: int = 2, batch: int = 1) -> Problem:
        base = problem(torch.zeros(batch, width))

        def goal(trajectory: Imagined) -> Tensor:
            return function(trajectory.latents[:, :, -1, 0])

        return Problem(base.world, base.latents, base.states, TotalEnergy(goal))

    return build
