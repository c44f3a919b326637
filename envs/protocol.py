"""What an environment may offer beyond gymnasium, as protocols that ``isinstance`` can ask for.

Planning needs none of them. Baselines that know the simulator ask for `Resumable` and `Expert`,
data collection for `Explorer`, evaluation on recorded goals for `Resumable` and `GoalSetter`.
Pictures over places of the gripper ask for `Places`.

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

__all__ = ["Expert", "Explorer", "GoalSetter", "Places", "Resumable", "Simulator"]


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

    def info(self) -> dict[str, Any]:
        """What `step` would tell the judge now, such as ``success`` and ``distance``."""


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


@runtime_checkable
class Simulator(Resumable, Expert, Protocol):
    """All that baselines and diagnosis ask of a simulator whose truth they may read.

    Attributes:
        goal_image: ``uint8 [h, w, 3]``.
        goal_state: Proprioception at the goal, ``[P]``.
        goal_object: Centre of the object there, xyz (m).
        success_distance: From the goal, that counts as success.
    """

    goal_image: NDArray[np.uint8]
    goal_state: NDArray[np.float64]
    goal_object: NDArray[np.float64]
    success_distance: float

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """As `gymnasium.Env.reset`."""

    def script(self) -> Iterator[NDArray[np.floating[Any]] | None]:
        """Actions of a scripted solution, and None where a sub-goal image is to be taken."""

    def advance(self, action: NDArray[np.floating[Any]]) -> None:
        """Simulate one control step of an action ``[A]`` without rendering."""

    def camera_image(self) -> NDArray[np.uint8]:
        """What an observation's ``image`` shows now."""

    def proprioception(self) -> NDArray[np.float64]:
        """What an observation's ``state`` is now, ``[P]``."""

    def object_position(self) -> NDArray[np.float64]:
        """Centre of the object to be moved, xyz ``[3]`` (m)."""

    def distance(self) -> float:
        """What success is judged by, as it is now."""

    def task_cost(self) -> float:
        """A shaped cost of where things are now."""

    def cost_at(
        self, states: NDArray[np.float64], object_position: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The same ``[...]`` of states ``[..., P]`` and object positions ``[..., 3]``."""


@runtime_checkable
class Places(Simulator, Protocol):
    """A simulator whose gripper can be put anywhere; its states are poses."""

    @property
    def workspace(self) -> NDArray[np.float64]:
        """Lowest and highest xyz of the gripper, ``[2, 3]`` (m)."""

    @property
    def object_size(self) -> float:
        """Side of the object to be moved, m."""

    def place_arm(self, xyz: NDArray[np.float64], closedness: float) -> None:
        """Put the arm at rest with its gripper at ``xyz`` ``[3]`` (m), closed so far (0 to 1)."""
