"""Reach with object: carry the held cube to where the goal image shows it."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from worldmodel.envs.tabletop.behaviours import SAFE_HEIGHT, grasp, move_to
from worldmodel.envs.tabletop.environment import (
    CUBE,
    OBJECT_REGION,
    OPEN,
    WORKSPACE,
    Script,
    TabletopEnv,
)
from worldmodel.envs.tabletop.pose import Array

__all__ = ["ReachWithObjectEnv"]

NEAREST = 0.1  # m, between the cube's start and its goal


class ReachWithObjectEnv(TabletopEnv):
    """Carry the cube, gripped from the start, to its place in the goal image."""

    task = "reach_with_object"

    @override
    def arrange(self) -> None:
        rng = self.np_random
        cube = np.array([*rng.uniform(*OBJECT_REGION), CUBE])
        self.place_object(cube, 0.0)
        self.place_arm(np.array([*cube[:2], CUBE + SAFE_HEIGHT]), OPEN)
        for action in grasp(self):
            self.advance(action)
        start = np.array([*cube[:2], rng.uniform(0.06, WORKSPACE[1, 2])])
        for action in move_to(self, start):
            self.advance(action)
        low = np.array([*OBJECT_REGION[0], 0.06])
        high = np.array([*OBJECT_REGION[1], WORKSPACE[1, 2]])
        self._target = start
        while np.linalg.norm(self._target - start) < NEAREST:
            self._target = rng.uniform(low, high)

    @override
    def script(self) -> Script:
        yield from move_to(self, self._target, speed=0.8)

    @override
    def well_posed(self, start: Array) -> bool:
        held = np.linalg.norm(self.goal_object - self.tool_pose()[:3]) < CUBE
        return bool(held and np.linalg.norm(self.goal_object - start) > NEAREST / 2)
