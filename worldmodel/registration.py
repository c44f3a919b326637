"""Decorators that make a part of one's own available by name, in Python and in every command.

A module that uses them is imported by ``plugins=[my_robot.planners]`` on the command line, or named
by an entry point of an installed package (``worldmodel.planners``, ``worldmodel.envs``,
``worldmodel.encoders``, ``worldmodel.goal_energies``, ``worldmodel.uncertainties``).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from worldmodel.errors import InputError, RegistrationError
from worldmodel.registry import (
    ENCODERS,
    ENVIRONMENTS,
    GOAL_ENERGIES,
    PLANNERS,
    TASKS,
    UNCERTAINTIES,
)

__all__ = [
    "register_encoder",
    "register_environment",
    "register_goal_energy",
    "register_planner",
    "register_uncertainty",
]

T = TypeVar("T")


def register_planner(name: str, config: type[Any]) -> Callable[[T], T]:
    """A planner: a class made as ``Planner(config, low, high)``, see `worldmodel.planners.Planner`.

    Args:
        name: For ``planner=name``.
        config: Dataclass of its settings; ``horizon``, ``receding_horizon``, ``std``,
            ``warm_start`` and ``active_dims`` among them follow the task.

    Raises:
        RegistrationError: The name is taken.
    """
    return PLANNERS.register(name, config)


def register_environment(name: str, task: Any) -> Callable[[T], T]:
    """An environment: a function or class called with ``image_size``; gives a `gymnasium.Env`.

    Args:
        name: For ``task=name`` and `make_env`.
        task: How its goals are pursued: a `worldmodel.agents.task.TaskConfig` of that name.

    Raises:
        RegistrationError: The name is taken, or that is no task of this name.
    """
    from worldmodel.agents.task import TaskConfig

    if not isinstance(task, TaskConfig) or task.name != name:
        raise RegistrationError(
            f"Expected a TaskConfig with name='{name}' for environment '{name}', got {task!r}"
        )

    def decorate(part: T) -> T:
        ENVIRONMENTS.register(name)(part)
        TASKS.register(name, TaskConfig, task)(part)
        return part

    return decorate


def register_encoder(name: str) -> Callable[[T], T]:
    """An encoder: sizes of the video transformer to pretrain, or a factory of a frozen one.

    Sizes are a dataclass, a subclass of ``EncoderConfig``. A factory is a function or a class that
    is called without arguments and gives a `torch.nn.Module` with ``image_size`` (pixels) and
    ``forward(pixels [n, 3, h, w] from 0 to 1) -> tokens [n, N, D]``, N a square number. Its weights
    travel with the worlds that are trained on it; the factory has to be registered to load them.
    Released encoders need neither: ``encoder_checkpoint=hf:NAME`` or ``timm:NAME``.

    Args:
        name: For ``encoder=name`` of `pretrain` where these are sizes, and for
            ``encoder_checkpoint=name`` of `train` where it is a factory.

    Raises:
        RegistrationError: The name is taken, or that is neither.
    """

    def decorate(part: T) -> T:
        from torch.nn import Module

        from worldmodel.encoders.vision_transformer import EncoderConfig

        if isinstance(part, type) and issubclass(part, EncoderConfig):
            ENCODERS.register(name, part)(part)
        elif inspect.isfunction(part) or (isinstance(part, type) and issubclass(part, Module)):
            ENCODERS.register(name)(part)
        else:
            raise RegistrationError(
                "Expected sizes of the video transformer, a subclass of EncoderConfig, or a "
                f"factory of a torch.nn.Module for encoder '{name}', got {part!r}"
            )
        return part

    return decorate


def register_goal_energy(name: str) -> Callable[[T], T]:
    """A goal energy: a function of goal latents ``[B, N, D]``, giving a `planners.GoalEnergy`.

    Args:
        name: For ``task.energy=name``.

    Raises:
        RegistrationError: The name is taken, or that is no function.
    """

    def decorate(part: T) -> T:
        if not callable(part):
            raise RegistrationError(f"Expected a function for goal energy '{name}', got {part!r}")

        @functools.wraps(part)
        def towards(world: Any, task: Any) -> Any:
            def energy(goal_latents: Any, with_proprio: Any = None) -> Any:
                made = part(goal_latents)
                return lambda path: _shaped(made(path), path.latents.shape[:2], f"energy '{name}'")

            return energy

        GOAL_ENERGIES.register(name)(towards)
        return part

    GOAL_ENERGIES.check_name(name)
    return decorate


def register_uncertainty(
    name: str, q90: float | Sequence[float], q99: float | Sequence[float]
) -> Callable[[T], T]:
    """An uncertainty term: a function of a trajectory, giving one number per imagined step.

    Args:
        name: For ``task.world_energy=[name]``.
        q90: Its 90 % quantile on held-out data, below which it costs nothing; one number, or one
            per imagined step.
        q99: Its 99 % quantile, at which it costs 1.

    Raises:
        RegistrationError: The name is taken.
    """
    import numpy as np

    low, high = np.broadcast_arrays(q90, q99)
    if not (np.isfinite([low, high]).all() and (low < high).all()):
        raise RegistrationError(f"Expected finite q99 above q90 for '{name}', got {q90} and {q99}")
    UNCERTAINTIES.check_name(name)

    def decorate(part: T) -> T:
        if not callable(part):
            raise RegistrationError(f"Expected a function for uncertainty '{name}', got {part!r}")

        def term(path: Any) -> Any:
            return _shaped(part(path), path.latents.shape[:3], f"uncertainty '{name}'")

        @functools.wraps(part)
        def calibrated() -> Any:
            import torch

            from worldmodel.predictors.imagination import CalibratedUncertainty

            return CalibratedUncertainty(term, torch.as_tensor(q90), torch.as_tensor(q99))

        UNCERTAINTIES.register(name)(calibrated)
        return part

    return decorate


def _shaped(value: Any, shape: Sequence[int], name: str) -> Any:
    """What a registered part gave.

    Raises:
        InputError: It is no tensor of this shape.
    """
    got = getattr(value, "shape", None)
    if got is None or not hasattr(value, "isfinite") or tuple(got) != tuple(shape):
        told = type(value).__name__ if got is None else list(got)
        raise InputError(f"Expected a tensor {list(shape)} from {name}, got {told}")
    return value
