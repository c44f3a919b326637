"""Walks of TwoRoom's disk, on a board of 224 pixels: generators that look before each action.

An action ``[2]`` of 1 moves the disk by `SPEED`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from worldmodel.envs.suite_env import Array

__all__ = ["DOOR", "MIDDLE", "RIM", "SIDE", "SPEED", "explore", "random_place", "walk"]

SIDE, RIM, SPEED = 224.0, 14.0, 5.0
MIDDLE, DOOR = 112.0, 49.0  # x of the wall, y of the door
_ASIDE = 17.0  # from the wall's middle, where the disk is clear of it
_CLEAR = 21.0  # from the board's edge, likewise


def explore(place: Callable[[], Array], rng: np.random.Generator) -> Iterator[Array]:
    """Noisy walks to random places, half of them behind the door, for ever."""
    while True:
        target = random_place(rng, int(rng.integers(2)))
        speed, drift = rng.uniform(0.4, 1.0), np.zeros(2)
        for _ in range(int(rng.integers(10, 70))):
            drift = 0.8 * drift + 0.25 * rng.standard_normal(2)
            yield np.clip(speed * _towards(target, place()) + drift, -1.0, 1.0)


def walk(place: Callable[[], Array], goal: Array) -> Iterator[Array]:
    """To the goal, through the door if it is in the other room; there, it stays."""
    while True:
        yield _towards(goal, place())


def random_place(rng: np.random.Generator, room: int) -> Array:
    """``[2]`` px, clear of the walls; room 0 is on the left."""
    x = rng.uniform(_CLEAR, MIDDLE - 12.0)
    return np.array([SIDE - x if room else x, rng.uniform(_CLEAR, SIDE - _CLEAR)])


def _towards(target: Array, here: Array) -> Array:
    side = 1.0 if target[0] > MIDDLE else -1.0
    if side * (here[0] - MIDDLE) < _ASIDE - 5:
        aligned = abs(here[1] - DOOR) < 5
        target = np.array([MIDDLE + (side if aligned else -side) * _ASIDE, DOOR])
    step = (target - here) / SPEED
    return step / max(1.0, float(np.abs(step).max()))
