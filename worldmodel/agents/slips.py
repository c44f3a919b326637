"""Scripts whose gripper slips, so that recordings hold what follows: a drop, and how it is mended.

A script that never errs shows nothing of it, and who imitates it is lost after the first error.
Laskey et al. (arXiv:1703.09327) disturb a demonstrator for that reason, by Gaussian noise.
*Deviation:* a gripper is open or closed, so it does the one or the other by itself, for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldmodel.spec import Spec

__all__ = ["Slips", "find_slips", "slipping"]

_LONGEST = 4  # control steps of a slip


@dataclass(frozen=True)
class Slips:
    """How often a gripper slips, and what it does then.

    Attributes:
        rate: Share of control steps at which a slip begins, where none lasts.
        places: Numbers of an action that drive a gripper.
        ends: The least and the largest that each of them can be.
    """

    rate: float
    places: tuple[int, ...]
    ends: tuple[tuple[float, ...], tuple[float, ...]]


def find_slips(spec: Spec, rate: float) -> Slips | None:
    """Slips of what is named a gripper in a spec; None where nothing is, or at a rate of 0."""
    parts = spec.repeat if spec.chunked else 1
    single = spec.actions.names[: spec.actions.width // parts]
    places = tuple(place for place, name in enumerate(single) if "gripper" in name)
    if not places or not rate:
        return None
    low, high = (tuple(end[p] for p in places) for end in (spec.actions.low, spec.actions.high))
    return Slips(rate, places, (low, high))


def slipping(
    actions: Iterator[NDArray[np.floating[Any]]],
    slips: Slips,
    repeat: int,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.floating[Any]]]:
    """The actions ``[A]`` of a script, but for its gripper's slips.

    Args:
        actions: One for each environment step; each is asked for when the one before is done.
        slips: Of its gripper.
        repeat: Environment steps of a control step.
        rng: Of slips alone, so that the script draws what it would without.
    """
    places, ends = list(slips.places), np.array(slips.ends, np.float32)
    left, slipped = 0, ends[0]
    for action in actions:
        if not left and rng.random() < slips.rate / repeat:
            left = repeat * int(rng.integers(1, _LONGEST + 1))
            slipped = ends[rng.integers(2)]
        if left:
            left -= 1
            action = np.array(action)
            action[places] = slipped
        yield action
