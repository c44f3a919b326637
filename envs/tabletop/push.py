"""Push: the cube to where it lies in the goal image, in which the arm is elsewhere."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from worldmodel.envs.tabletop.behaviours import free_point, push_to, retract
from worldmodel.envs.tabletop.environment import CLOSED, CUBE, OBJECT_REGION, Script, TabletopEnv
from worldmodel.envs.tabletop.pose import Array

__all__ = ["HOME", "PushEnv"]

HOME = np.array([0.40, 0.0, 0.25])  # m
NEAREST, FARTHEST = 0.08, 0.15  # m, between the cube's start and its goal


class PushEnv(TabletopEnv):
    """Push the cube 8-15 cm over the table to its place in the goal image.

    The arm starts anywhere and the gripper is closed. In the goal image the arm is retracted, half
    of the time to its home pose and else to a random one, so that the gripper's goal pose says
    nothing of the cube.
    """

    task = "push"

    @override
    def arrange(self) -> None:
        rng = self.np_random
        start = rng.uniform(*OBJECT_REGION)
        self.place_object(np.array([*start, CUBE]), rng.uniform(-np.pi, np.pi))
        self.place_arm(free_point(self, rng), CLOSED)
        self._target = draw_target(rng, start, NEAREST, FARTHEST)
        self._retreat = HOME if rng.random() < 0.5 else free_point(self, rng, low=0.1)

    @override
    def script(self) -> Script:
        yield from push_to(self, self._target)
        yield from retract(self, self._retreat)

    @override
    def well_posed(self, start: Array) -> bool:
        moved = np.linalg.norm(self.goal_object - start)
        return bool(NEAREST <= moved <= FARTHEST)


def draw_target(rng: np.random.Generator, start: Array, nearest: float, farthest: float) -> Array:
    """A point ``[2]`` of the objects' region at a distance in [nearest, farthest] (m)."""
    while True:
        angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(nearest, farthest)
        target = start + distance * np.array([np.cos(angle), np.sin(angle)])
        if np.all(target >= OBJECT_REGION[0]) and np.all(target <= OBJECT_REGION[1]):
            return target
