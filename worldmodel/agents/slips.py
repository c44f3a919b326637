"""Scripts whose gripper slips, so that recordings hold what follows: a drop, and how it is mended.

A script that never errs shows nothing of it, and who imitates it is lost after the first error.
Laskey et al. (arXiv:1703.09327) disturb a demonstrator for that reason, by Gaussian noise.
*Deviation:* a gripper is open or closed, so it does the one or the other by itself, for a while.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldmodel.spec import Spec

__all__ = ["grippers", "slipping"]

_LONGEST = 4  # control steps of a slip


def grippers(spec: Spec) -> list[int]:
    """Which numbers of a single environment step's action drive a gripper, by their names."""
    parts = spec.repeat if spec.chunked else 1
    single = spec.actions.names[: spec.actions.width // parts]
    return [place for place, name in enumerate(single) if "gripper" in name]


def slipping(
    actions: Iterator[NDArray[np.floating[Any]]],
    spec: Spec,
    rate: float,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.floating[Any]]]:
    """The actions of a script, but for its gripper's slips.

    Args:
        actions: One for each environment step; each is asked for when the one before is done.
        spec: What they mean, and for how many of them a control step stands.
        rate: Share of control steps at which a slip begins, where none lasts.
        rng: Of slips alone, so that the script draws what it would without.
    """
    places: Sequence[int] = grippers(spec)
    bounds = np.array([spec.actions.low, spec.actions.high], np.float32)
    left, slipped = 0, bounds[0, places]
    for action in actions:
        if not left and rng.random() < rate / spec.repeat:
            left = spec.repeat * int(rng.integers(1, _LONGEST + 1))
            slipped = bounds[rng.integers(2), places]
        if left:
            left -= 1
            action = np.array(action)
            action[places] = slipped
        yield action
