"""The objects of an OGBench scene, and when they are where a goal has them."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worldmodel.envs.suite_env import Array, Verdict

__all__ = ["Objects", "compare", "locks_of", "objects_of", "turn_between"]

_AXES, _SIGNS = permutations(np.eye(3)), product([-1, 1], repeat=3)
_SIGNED = [np.array(axes) * signs for axes, signs in product(_AXES, _SIGNS)]
_TURNS = np.array([turn for turn in _SIGNED if np.linalg.det(turn) > 0])  # a cube's own, [24, 3, 3]


class Objects(NamedTuple):
    """How things are.

    Attributes:
        cubes: Their centres ``[n, 3]``, m.
        turns: Their rotations ``[n, 3, 3]``.
        slides: How far drawer and window are open, m; of a scene with cubes only, none.
        locks: The states of the two buttons.
    """

    cubes: Array
    turns: Array
    slides: Array = np.zeros(0)
    locks: Array = np.zeros(0)


def objects_of(suite: Any) -> Objects:
    """How things are in the suite's environment now."""
    cubes = [suite.data.body(f"object_{number}") for number in range(suite._num_cubes)]
    places, turns = (np.array([getattr(c, name) for c in cubes]) for name in ("xpos", "xmat"))
    found = Objects(places, turns.reshape(-1, 3, 3))
    if not (locks := locks_of(suite)).size:
        return found
    slides = [suite.data.joint(f"{name}_slide").qpos[0] for name in ("drawer", "window")]
    return found._replace(slides=np.array(slides), locks=locks.copy())


def locks_of(suite: Any) -> NDArray[Any]:
    """The states of a scene's buttons; of cubes alone, none."""
    states: NDArray[Any] = getattr(suite, "_cur_button_states", np.zeros(0, int))
    return states


def compare(here: Objects, goal: Objects) -> Verdict:
    """Judge by the object that is farthest from its goal (m), and by the locks."""
    apart = [*np.linalg.norm(here.cubes - goal.cubes, axis=-1), *abs(here.slides - goal.slides)]
    distance, locked = float(max(apart)), bool((here.locks == goal.locks).all())
    turned = max(map(turn_between, here.turns, goal.turns))
    strict = locked and distance <= 0.03 and turned <= 15
    return Verdict(distance, locked and distance <= 0.04, strict)


def turn_between(one: Array, other: Array) -> float:
    """Degrees between two rotations ``[3, 3]`` of a cube that looks the same from all sides."""
    traces = np.einsum("ji,jk,nki->n", one, other, _TURNS)
    return float(np.degrees(np.arccos(np.clip((traces.max() - 1) / 2, -1.0, 1.0))))
