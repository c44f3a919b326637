"""Scripted pushes of PushT, as moves in pixels that read the simulation before each of them.

An agent heads for one place relative to itself for five steps, as long as `repeat=5` holds an
action. So what a data set records of a script is what the agent did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import numpy as np

from worldmodel.envs.suite_env import Array

__all__ = ["HELD", "explore", "push"]

Places = Callable[[], tuple[Array, Array]]
"""Says where the agent and the block's middle are, ``[2]`` px each."""

HELD = 5  # steps of each move

_CLEAR = 100.0  # px around the block's middle, where the agent does not touch it
_FAST = 90.0  # px a move, round the block
_BOARD = np.array([[110.0, 110.0], [402.0, 402.0]])  # px, where the block is pushed to


def explore(places: Places, rng: np.random.Generator) -> Iterator[Array]:
    """Push the block to places, back off, and so on for ever.

    Yields:
        How far the agent is to come in `HELD` steps, ``[2]`` px, once for all of them.
    """
    while True:
        target, aim = _target(*places(), rng), rng.normal(0.0, 25.0)
        speed, noise = rng.uniform(15.0, 60.0), rng.uniform(0.0, 12.0)
        most, back = int(rng.integers(3, 10)), int(rng.integers(2))
        retreat = -speed * _directions(places()[1], target)[0]
        for move in chain(push(places, target, aim, speed, most), repeat(retreat, back)):
            yield move + noise * rng.standard_normal(2)


def push(places: Places, target: Array, aim: float, speed: float, most: int) -> Iterator[Array]:
    """Go round behind the block, then push it towards a place (px).

    Args:
        places: Says where things are.
        target: Where to, ``[2]``.
        aim: How far beside the block's middle to push.
        speed: Of the push, px a move.
        most: Moves of the push.
    """
    for _ in range(10):
        agent, block = places()
        along, across = _directions(block, target)
        away = agent - block
        angle = np.arctan2(away @ across, -away @ along)  # 0 behind the block
        if abs(angle) < 0.3 and np.linalg.norm(away) < 1.2 * _CLEAR:
            break
        angle = np.sign(angle) * max(0.0, abs(angle) - _FAST / _CLEAR)
        way = _CLEAR * (np.sin(angle) * across - np.cos(angle) * along) - away
        yield way * min(1.0, 1.3 * _FAST / max(1e-6, float(np.linalg.norm(way))))
    along, across = _directions(places()[1], target)
    for _ in range(most):
        agent, block = places()
        if (target - block) @ along < 0:
            break
        yield speed * along + np.clip(aim - (agent - block) @ across, -speed, speed) * across


def _target(agent: Array, block: Array, rng: np.random.Generator) -> Array:
    """Where to push: mostly away from the agent, so that little time goes into going round."""
    if rng.random() < 0.8:
        ahead, _ = _directions(agent, block)
        turn = np.arctan2(ahead[1], ahead[0]) + rng.normal(0.0, 1.0)
        target: Array = block + rng.uniform(30.0, 150.0) * np.array([np.cos(turn), np.sin(turn)])
        if (target > _BOARD[0]).all() and (target < _BOARD[1]).all():
            return target
    return rng.uniform(*_BOARD)


def _directions(start: Array, end: Array) -> tuple[Array, Array]:
    """Unit vectors ``[2]`` from one place to another, and across."""
    along = (end - start) / max(1e-6, float(np.linalg.norm(end - start)))
    return along, np.array([-along[1], along[0]])
