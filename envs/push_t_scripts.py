"""Scripted pushes of PushT, as moves in pixels that read the simulation before each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import numpy as np

from worldmodel.envs.suite_env import Array

__all__ = ["explore", "push"]

Places = Callable[[], tuple[Array, Array]]
"""Says where the agent and the block's middle are, ``[2]`` px each."""

_CLEAR = 105.0  # px around the block's middle, where the agent does not touch it
_BOARD = np.array([[100.0, 100.0], [412.0, 412.0]])  # px, where the block is pushed to


def explore(places: Places, rng: np.random.Generator) -> Iterator[Array]:
    """Push the block to random places, back off, and so on for ever; moves ``[2]`` px."""
    while True:
        target, aim = rng.uniform(*_BOARD), rng.normal(0.0, 20.0)
        speed, noise = rng.uniform(10.0, 50.0), rng.uniform(0.0, 10.0)
        back = -speed * _directions(places()[1], target)[0]
        for move in chain(push(places, target, aim, speed), repeat(back, int(rng.integers(4)))):
            yield move + noise * rng.standard_normal(2)


def push(places: Places, target: Array, aim: float, speed: float) -> Iterator[Array]:
    """Go round behind the block, then push it to a place (px).

    Args:
        places: Says where things are.
        target: Where to, ``[2]``.
        aim: How far beside the block's middle to push.
        speed: How far ahead of the agent its target runs.
    """
    for _ in range(25):
        agent, block = places()
        along, across = _directions(block, target)
        away = agent - block
        angle = np.arctan2(away @ across, -away @ along)  # 0 behind the block
        if abs(angle) < 0.2 and np.linalg.norm(away) < 1.2 * _CLEAR:
            break
        angle = np.sign(angle) * max(0.0, abs(angle) - 0.6)
        yield _CLEAR * (np.sin(angle) * across - np.cos(angle) * along) - away
    along, across = _directions(places()[1], target)
    for _ in range(int(2.5 * _CLEAR / speed) + 10):
        agent, block = places()
        if (target - block) @ along < 0:
            break
        yield speed * along + (aim - (agent - block) @ across) * across


def _directions(start: Array, end: Array) -> tuple[Array, Array]:
    """Unit vectors ``[2]`` from one place to another, and across."""
    along = (end - start) / max(1e-6, float(np.linalg.norm(end - start)))
    return along, np.array([-along[1], along[0]])
