"""Reach: the gripper to where it is in the goal image."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from worldmodel.envs.tabletop.behaviours import free_point, move_to
from worldmodel.envs.tabletop.environment import (
    CLOSED,
    CUBE,
    OBJECT_REGION,
    WORKSPACE,
    Script,
    TabletopEnv,
)
from worldmodel.envs.tabletop.pose import Array

__all__ = ["ReachEnv"]

NEAREST = 0.1  # m, between the gripper's start and its goal


class ReachEnv(TabletopEnv):
    """Bring the gripper to its pose in the goal image; the cube lies by."""

    task = "reach"

    @override
    def arrange(self) -> None:
        rng = self.np_random
        self.place_object(
            np.array([*rng.uniform(*OBJECT_REGION), CUBE]), rng.uniform(-np.pi, np.pi)
        )
        start = free_point(self, rng, low=WORKSPACE[0, 2])
        while True:
            self._target = free_point(self, rng)
            if np.linalg.norm(self._target - start) >= NEAREST:
                break
        self.place_arm(start, CLOSED)

    @override
    def script(self) -> Script:
        # Over the cube, never through it: both ends are clear of it, the straight way may not be.
        start = self.tool_pose()[:3]
        height = max(0.12, float(start[2]), float(self._target[2]))
        yield from move_to(self, np.array([*start[:2], height]), tolerance=0.03)
        yield from move_to(self, np.array([*self._target[:2], height]), tolerance=0.03)
        yield from move_to(self, self._target)

    @override
    def distance_at(self, tool: Array, object_position: Array) -> Array:
        """Metres ``[...]`` from the gripper to where it is in the goal image."""
        return np.linalg.norm(tool[..., :3] - self.goal_state[:3], axis=-1)

    @override
    def cost_at(self, tool: Array, object_position: Array) -> Array:
        return self.distance_at(tool, object_position)
