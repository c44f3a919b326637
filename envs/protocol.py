"""What an environment may offer beyond gymnasium, as protocols that ``isinstance`` can ask for.

Planning needs none of them. Baselines that know the simulator ask for `Resumable` and `Expert`,
data collection for `Explorer`, evaluation on recorded goals for `Resumable` and `GoalSetter`.

>>> from worldmodel import envs
>>> env = envs.make_from_suite("two_room")
>>> [isinstance(env, kind) for kind in (Resumable, GoalSetter, Explorer, Expert)]
[True, True, True, True]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Expert", "Explorer", "GoalSetter", "Resumable"]


@runtime_checkable
class Resumable(Protocol):
    """Its simulation can be left and taken up again."""

    def snapshot(self) -> Any:
        """The simulation's state, of whatever type; it stays valid until the environment closes."""

    def restore(self, snapshot: Any) -> None:
        """Continue from a snapshot of this environment. The goal stays as it is now."""

    def observe(self) -> dict[str, NDArray[Any]]:
        """What `step` would show now: ``image``, ``goal`` and, with proprioception, ``state``."""


@runtime_checkable
class GoalSetter(Protocol):
    """Its goal can be replaced by how things are."""

    def set_goal(self) -> None:
        """Make the present scene the goal: the goal image, and what the judge compares with."""


@runtime_checkable
class Explorer(Protocol):
    """It knows motions that show what can happen."""

    def explore(self, rng: np.random.Generator) -> Iterator[NDArray[np.floating[Any]]]:
        """Actions ``[A]`` for ever, from wherever the simulation is, whatever the goal.

        The iterator reads the simulation, so each action is to be executed before the next is asked
        for. They are smooth noise, or a script with noise, and within the action bounds.
        """


@runtime_checkable
class Expert(Protocol):
    """It knows how to reach its goal."""

    def expert(self) -> Iterator[NDArray[np.floating[Any]]]:
        """Actions ``[A]`` of a scripted solution from wherever the simulation is, then rest.

        The iterator reads the simulation, so each action is to be executed before the next is asked
        for. It never ends.
        """
