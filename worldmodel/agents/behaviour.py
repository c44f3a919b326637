"""What acts while data are collected: noise, a script of the environment, or a user's function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldmodel.agents.environment import Environment, capable, contract
from worldmodel.agents.slips import Slips, slipping
from worldmodel.envs.action_repeat import ActionRepeat
from worldmodel.envs.protocol import Explorer
from worldmodel.errors import UserError, nearest
from worldmodel.registry import user_function

__all__ = ["BEHAVIOURS", "Acted", "Behaviour", "behaviour", "follow"]

BEHAVIOURS = ("random", "smooth", "scripted")

Action = NDArray[np.float32]
Acted = tuple[Action, dict[str, Any], bool]
"""An action ``float32 [A]``, the observation that followed, and whether the episode is over."""
Behaviour = Callable[[Environment, np.random.Generator], Iterator[Acted]]
"""Acts in an environment, a control step each time it is asked for the next."""

_CORRELATION = 0.9  # of smooth noise from one control step to the next
_SPREAD = 0.6  # of smooth noise, as a share of half the action range


def behaviour(name: str, slips: Slips | None = None) -> Behaviour:
    """A behaviour by its name.

    Args:
        name: ``random`` for uniform actions; ``smooth`` for correlated ones; ``scripted`` for what
            the environment does to explore; ``module:function`` for a function of environment and
            `numpy.random.Generator` that yields actions ``[A]``.
        slips: Of the gripper of ``scripted``; None for none.

    Raises:
        UserError: There is no such behaviour.
    """
    if name in BEHAVIOURS:
        scripted: Behaviour = partial(_scripted, slips)
        known: dict[str, Behaviour] = {"random": _random, "smooth": _smooth, "scripted": scripted}
        return known[name]
    if ":" not in name:
        raise UserError(
            f"unknown policy '{name}'; {nearest(name, BEHAVIOURS)}, or give your own as "
            "module:function"
        )
    return partial(_users, name)


def follow(env: Environment, actions: Iterator[NDArray[np.floating[Any]]]) -> Acted:
    """Take a control step of a script, which reads the simulation before each of its actions.

    Where it is several environment steps, as many of the script's actions are taken. The action is
    all of them, or their mean where one is held.
    """
    repeat = _repeat(env)
    inner = env.env if isinstance(env, ActionRepeat) else env
    advance = getattr(env.unwrapped, "advance", None)
    taken: list[Action] = []
    for number in range(repeat):
        taken.append(np.asarray(next(actions), np.float32))
        if advance is not None and number < repeat - 1:
            advance(taken[-1])
            continue
        observation, _, terminated, truncated, _ = inner.step(taken[-1])
        if terminated or truncated:
            break
    over = bool(terminated or truncated)
    if isinstance(env, ActionRepeat) and env.chunked:
        short = repeat - len(taken)  # of an episode that was over before
        return np.concatenate([*taken, *short * [taken[-1]]]), observation, over
    return np.mean(taken, 0, dtype=np.float32), observation, over


def _repeat(env: Environment) -> int:
    """Actions of its script in a control step."""
    return env.repeat if isinstance(env, ActionRepeat) else 1


def _random(env: Environment, rng: np.random.Generator) -> Iterator[Acted]:
    bounds = contract(env).actions
    while True:
        yield _step(env, rng.uniform(bounds.low, bounds.high))


def _smooth(env: Environment, rng: np.random.Generator) -> Iterator[Acted]:
    spec = contract(env)
    low, high, rest = (np.array(getattr(spec.actions, end)) for end in ("low", "high", "rest"))
    parts = spec.repeat if spec.chunked else 1
    wave = rng.standard_normal(len(low) // parts)
    while True:
        waves = []
        for _ in range(parts):
            fresh = rng.standard_normal(len(wave))
            wave = _CORRELATION * wave + (1 - _CORRELATION**2) ** 0.5 * fresh
            waves.append(wave)
        moved = _SPREAD * np.concatenate(waves) * (high - low) / 2
        yield _step(env, np.clip(rest + moved, low, high))


def _scripted(slips: Slips | None, env: Environment, rng: np.random.Generator) -> Iterator[Acted]:
    actions = capable(env, Explorer, "policy=scripted").explore(rng)
    if slips is not None:
        actions = slipping(actions, slips, _repeat(env), rng.spawn(1)[0])
    while True:
        yield follow(env, actions)


def _users(name: str, env: Environment, rng: np.random.Generator) -> Iterator[Acted]:
    function = user_function(name, f"policy={name}")
    try:
        actions = function(env, rng)
        while True:
            action = np.asarray(next(actions), np.float32)
            if action.shape != env.action_space.shape:
                raise UserError(
                    f"policy={name}: expected actions of shape {env.action_space.shape}, got "
                    f"{action.shape}"
                )
            yield _step(env, action)
    except UserError:
        raise
    except StopIteration as error:
        told = f"policy={name} ended before the episode did; yield actions for ever"
        raise UserError(told) from error
    except Exception as error:  # a user's function raises what it likes
        raise UserError(f"policy={name} failed: {type(error).__name__}: {error}") from error


def _step(env: Environment, action: NDArray[np.floating[Any]]) -> Acted:
    taken = action.astype(np.float32)
    observation, _, terminated, truncated, _ = env.step(taken)
    return taken, observation, bool(terminated or truncated)
