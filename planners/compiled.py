"""``torch.compile`` for rollouts and energies: opt-in, for those who plan for long.

The first plan of a size takes up to a minute; later ones spend less on dispatch and on what one
operation leaves to the next. On a GPU the graphs are replayed as CUDA graphs: what a rollout hands
out is overwritten by the next one, as a search can bear.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from planners.protocols import Total, Trajectory, World

__all__ = ["compiled_judge", "compiled_rollout"]


@cache
def compiled_rollout() -> Callable[[World, Tensor, Tensor, Tensor], Trajectory]:
    """``world.rollout(latents, states, actions)``, compiled once per world and size."""
    return torch.compile(_rollout, mode=_mode())


@cache
def compiled_judge() -> Callable[[Total, Trajectory], tuple[Tensor, dict[str, Tensor]]]:
    """``energy(trajectory)``, compiled once per kind of energy and size: goals may change."""
    return torch.compile(_judge, mode=_mode())


def _rollout(world: World, latents: Tensor, states: Tensor, actions: Tensor) -> Trajectory:
    return world.rollout(latents, states, actions)


def _judge(energy: Total, trajectory: Trajectory) -> tuple[Tensor, dict[str, Tensor]]:
    return energy(trajectory)


def _mode() -> str | None:
    return "reduce-overhead" if torch.cuda.is_available() else None
