"""Scripted motions of Fetch: generators that read the simulation before each action.

An action ``[4]`` moves the gripper, then its fingers; scripts may exceed the bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Protocol

import numpy as np

from worldmodel.envs.suite_env import Array

__all__ = ["CLOSE", "OPEN", "SAFE", "STRIDE", "TABLE", "Arm", "expert", "explore", "go"]

STRIDE = 0.05  # m, of an action of 1
TABLE, SAFE = 0.425, 0.12  # m, a block's height on the table, and what passes over it
OPEN, CLOSE = 1.0, -1.0
_HALF = 0.025  # m, half a block
_LOW, _HIGH = np.array([1.15, 0.55, 0.43]), np.array([1.50, 0.95, 0.65])  # m, where to explore


class Arm(Protocol):
    """What the scripts read."""

    has_block: bool
    fingers_move: bool

    def gripper(self) -> Array:
        """Where the point between the fingers is, ``[3]`` m."""

    def scene(self) -> Array:
        """Where the block is, ``[3]`` m."""


def explore(arm: Arm, rng: np.random.Generator) -> Iterator[Array]:
    """Go to random places; push, or carry and drop, the block to others; with noise."""
    while True:
        speed, noise = rng.uniform(0.4, 1.0), 0.5 * rng.random() ** 2
        target, drift = rng.uniform(_LOW, _HIGH), np.zeros(3)
        solving = arm.has_block and rng.random() < 0.7
        fingers = rng.choice([OPEN, CLOSE]) if arm.fingers_move else 0.0
        actions = solve(arm, target) if solving else go(arm, target, fingers)
        release = go(arm, rng.uniform([*_LOW[:2], 0.5], _HIGH), OPEN)
        for action in chain(islice(actions, 40), islice(release, 10 if solving else 0)):
            drift = 0.7 * drift + noise * rng.standard_normal(3)
            action[:3] = speed * action[:3] + drift
            yield np.clip(action, -1.0, 1.0)


def expert(arm: Arm, goal: Array) -> Iterator[Array]:
    """Bring the block, or without one the gripper, to the goal; then hold it there for ever."""
    for action in solve(arm, goal):
        yield np.clip(action, -1.0, 1.0)
    pushed = arm.has_block and not arm.fingers_move
    while True:
        offset = np.zeros(3) if pushed else goal - arm.scene()
        yield np.clip([*offset / STRIDE, CLOSE if arm.fingers_move else 0.0], -1.0, 1.0)


def solve(arm: Arm, goal: Array) -> Iterator[Array]:
    """Reach, push or carry to a place (m), by what the task has."""
    if not arm.has_block:
        yield from go(arm, goal)
    elif not arm.fingers_move:
        for _ in range(6):
            yield from push(arm, goal)
    else:
        yield from go(arm, arm.scene() + np.array([0.0, 0.0, 0.08]), OPEN)
        yield from go(arm, arm.scene(), OPEN)
        for _ in range(3):
            yield np.array([0.0, 0.0, 0.0, CLOSE])
        yield from go(arm, goal, CLOSE)


def go(arm: Arm, xyz: Array, fingers: float = 0.0, tolerance: float = 0.01) -> Iterator[Array]:
    """Straight to a place (m)."""
    while np.linalg.norm(offset := xyz - arm.gripper()) > tolerance:
        reach = np.abs(offset).max() / STRIDE
        yield np.array([*(offset / STRIDE / max(1.0, reach)), fingers])


def push(arm: Arm, goal: Array) -> Iterator[Array]:
    """Over the block, down behind it, then on, until it is there or slips off."""
    offset = _flat(goal - arm.scene())
    if np.linalg.norm(offset) < 0.015:
        return
    behind = arm.scene() - 0.08 * offset / np.linalg.norm(offset)
    for height in (SAFE, 0.0):
        place = np.array([*behind[:2], TABLE + height])
        yield from go(arm, place, tolerance=0.02)
    for _ in range(25):
        offset, ahead = _flat(goal - arm.scene()), _flat(arm.scene() - arm.gripper())
        along = offset / max(1e-6, remaining := float(np.linalg.norm(offset)))
        if remaining < 0.012 or np.linalg.norm(ahead - ahead @ along * along) > _HALF:
            return
        step = ahead - (_HALF + 0.01 - min(remaining, 0.03)) * along
        yield np.array([*step / STRIDE, 0.0])


def _flat(offset: Array) -> Array:
    return offset * [1.0, 1.0, 0.0]
