"""Where an episode's start and goal image come from, and who says whether it is reached.

- ``env``: the environment's own, from ``reset``.
- ``ahead``: the scene some steps later in an episode of the collecting policy. Its seed was never
  collected, so nothing was trained on it.
- ``expert``: where the environment's scripted solution ends.

The last two ask the environment for what `worldmodel.envs.protocol` describes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from worldmodel.agents.behaviour import Acted, Behaviour, follow
from worldmodel.agents.environment import Environment, capable
from worldmodel.envs.protocol import Expert, Explorer, GoalSetter, Resumable
from worldmodel.errors import UserError

__all__ = ["GOAL_SOURCES", "Begin", "Judge", "goal_source", "own_goal", "require_source"]

_ASKED: dict[str, tuple[type[Any], ...]] = {
    "env": (),
    "ahead": (Resumable, GoalSetter, Explorer),
    "expert": (Resumable, GoalSetter, Expert),
}
"""What sources ask of an environment, where its own script explores."""
GOAL_SOURCES = (*_ASKED,)

Begin = Callable[[Environment, int], tuple[Mapping[str, Any], Mapping[str, Any]]]
"""Resets an environment with a seed to a start and a goal; observation and ``info`` there."""
Judge = Callable[[Environment, Mapping[str, Any]], bool]
"""Says of an environment and the ``info`` of its last step whether the goal is reached."""

_TRIES = 100
_LATEST = 50  # control steps of the collecting policy before an episode's start, at most


def own_goal(env: Environment, seed: int) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The environment's own start and goal."""
    return env.reset(seed=seed)


def require_source(env: Environment, name: str) -> None:
    """Ask an environment for what a source needs of it.

    Raises:
        EnvironmentContractError: It lacks that.
    """
    for kind in _ASKED[name]:
        capable(env, kind, f"goal_source={name}")


def goal_source(name: str, ahead: int, behaviour: Behaviour) -> Begin:
    """A source by its name.

    Args:
        name: One of `GOAL_SOURCES`.
        ahead: Control steps from start to goal.
        behaviour: The collecting policy; of use for ``ahead`` only.
    """
    if name == "ahead":
        return partial(_ahead, ahead=ahead, behaviour=behaviour)
    return partial(_expert, ahead=ahead) if name == "expert" else own_goal


def _ahead(
    env: Environment, seed: int, *, ahead: int, behaviour: Behaviour
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """A start within an episode of the collecting policy, and the scene ``ahead`` of it."""
    rng = np.random.default_rng(seed)
    for attempt in range(_TRIES):
        env.reset(seed=seed if attempt == 0 else None)
        acting = behaviour(env, rng)
        ended = any(next(acting)[2] for _ in range(int(rng.integers(_LATEST + 1))))
        found = None if ended else _after(env, ahead, partial(next, acting))
        if found is not None:
            return found
    raise _reached(f"{ahead} steps ahead")


def _expert(
    env: Environment, seed: int, *, ahead: int
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The environment's start, and where its scripted solution has led after ``ahead`` steps."""
    expert = capable(env, Expert, "goal_source=expert")
    for attempt in range(_TRIES):
        env.reset(seed=seed if attempt == 0 else None)
        actions = expert.expert()
        found = _after(env, ahead, partial(follow, env, actions))
        if found is not None:
            return found
    raise _reached("of the scripted solution")


def _after(
    env: Environment, ahead: int, act: Callable[[], Acted]
) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The present scene with the one after some actions as its goal.

    None if it is reached here, or the episode ends before.
    """
    simulator = capable(env, Resumable, "goal_source=ahead or expert")
    setter = capable(env, GoalSetter, "goal_source=ahead or expert")
    start = simulator.snapshot()
    if any(act()[2] for _ in range(ahead)):
        return None
    setter.set_goal()
    simulator.restore(start)
    info = setter.info()
    return None if info.get("success", False) else (simulator.observe(), info)


def _reached(which: str) -> UserError:
    return UserError(
        f"Expected a goal {which} that is not reached at its start, got none in {_TRIES} episodes; "
        "look further ahead with goal_ahead=…, or less far where episodes end before"
    )
