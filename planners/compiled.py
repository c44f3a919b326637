"""``torch.compile`` for rollouts and energies: opt-in, for those who plan for long.

The first plan takes up to a minute, as does the first with populations of another size; later ones
spend less on dispatch, and on what one operation leaves to the next. On a GPU each is replayed as
one CUDA graph, which costs the host a single launch, unless gradients pass through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from worldmodel.planners.protocols import Total, Trajectory, World

__all__ = ["compiled_judge", "compiled_rollout"]

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")

_SIZES = 64  # of populations, horizons and batches that one process may go through


def compiled_rollout(world: World) -> Callable[[World, Tensor, Tensor, Tensor], Trajectory]:
    """``world.rollout(latents, states, actions)``, compiled once per kind of world and size.

    A world that says it is ``fused`` has compiled its parts, and would take minutes as a whole: its
    rollouts, and energies of them, stay as they are.
    """
    return _rollout if _fused(world) else _compiled_rollout()


def compiled_judge(world: World) -> Callable[[Total, Trajectory], tuple[Tensor, dict[str, Tensor]]]:
    """``energy(trajectory)``, compiled once per kind of energy and size: goals may change."""
    return _judge if _fused(world) else _compiled_judge()


def _fused(world: World) -> bool:
    return bool(getattr(world, "fused", False))


@cache
def _compiled_rollout() -> Callable[[World, Tensor, Tensor, Tensor], Trajectory]:
    return _compiled(_rollout)


@cache
def _compiled_judge() -> Callable[[Total, Trajectory], tuple[Tensor, dict[str, Tensor]]]:
    return _compiled(_judge)


def _compiled(function: Callable[ArgumentsT, ResultT]) -> Callable[ArgumentsT, ResultT]:
    from torch._dynamo import config as limits  # takes a second, and most never compile

    limits.recompile_limit = max(limits.recompile_limit, _SIZES)
    differentiable: Callable[ArgumentsT, ResultT] = torch.compile(function)
    replayed: Callable[ArgumentsT, ResultT] = torch.compile(function, mode="reduce-overhead")

    def call(*args: ArgumentsT.args, **kwargs: ArgumentsT.kwargs) -> ResultT:
        if torch.is_grad_enabled():  # a graph's next replay would overwrite what gradients need
            return differentiable(*args, **kwargs)
        torch.compiler.cudagraph_mark_step_begin()
        return _owned(replayed(*args, **kwargs))

    return call


def _owned(found: ResultT) -> ResultT:
    """The same in memory that the next replay leaves alone: searches keep some of it."""
    if is_dataclass(found) and not isinstance(found, type):
        parts = {field.name: _owned(getattr(found, field.name)) for field in fields(found)}
        return replace(found, **parts)
    owned: ResultT = tree_map_only(Tensor, _copied, found)
    return owned


def _copied(tensor: Tensor) -> Tensor:
    return tensor if tensor.device.type == "cpu" else tensor.clone()


def _rollout(world: World, latents: Tensor, states: Tensor, actions: Tensor) -> Trajectory:
    return world.rollout(latents, states, actions)


def _judge(energy: Total, trajectory: Trajectory) -> tuple[Tensor, dict[str, Tensor]]:
    return energy(trajectory)
