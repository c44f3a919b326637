"""Decorators that make a part of one's own available by name, in Python and in every command.

A module that uses them is imported by ``plugins=[my_robot.planners]`` on the command line, or named
by an entry point of an installed package (``worldmodel.planners``, ``worldmodel.envs``,
``worldmodel.encoders``, ``worldmodel.goal_energies``, ``worldmodel.uncertainties``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from worldmodel.errors import RegistrationError
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
    """An encoder: a dataclass of sizes of the video transformer, a subclass of ``EncoderConfig``.

    Encoders of other kinds come in as checkpoints (`worldmodel import`).

    Args:
        name: For ``encoder=name``.

    Raises:
        RegistrationError: The name is taken, or that is no subclass of ``EncoderConfig``.
    """

    def decorate(part: T) -> T:
        from worldmodel.encoders.vision_transformer import EncoderConfig

        if not (isinstance(part, type) and issubclass(part, EncoderConfig)):
            raise RegistrationError(
                "Expected sizes of the video transformer, a subclass of EncoderConfig, for encoder "
                f"'{name}', got {part!r}; other encoders come in by `worldmodel import`"
            )
        ENCODERS.register(name, part)(part)
        return part

    return decorate


def register_goal_energy(name: str) -> Callable[[T], T]:
    """A goal energy: a function of goal latents ``[B, N, D]``, giving a `planners.GoalEnergy`.

    Args:
        name: For ``task.energy=name``.

    Raises:
        RegistrationError: The name is taken.
    """

    def decorate(part: T) -> T:
        assert callable(part)

        @functools.wraps(part)
        def towards(world: Any, task: Any) -> Any:
            return lambda goal_latents, with_proprio=None: part(goal_latents)

        GOAL_ENERGIES.register(name)(towards)
        return part

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

    def decorate(part: T) -> T:
        assert callable(part)

        @functools.wraps(part)
        def calibrated() -> Any:
            import torch

            from worldmodel.predictors.imagination import CalibratedUncertainty

            return CalibratedUncertainty(part, torch.as_tensor(q90), torch.as_tensor(q99))

        UNCERTAINTIES.register(name)(calibrated)
        return part

    return decorate
