"""Grasp: lift the cube to where the goal image shows it."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from worldmodel.envs.tabletop.behaviours import free_point, grasp, holds, move_to
from worldmodel.envs.tabletop.environment import (
    CUBE,
    MARK,
    OBJECT_REGION,
    OPEN,
    Script,
    TabletopEnv,
)
from worldmodel.envs.tabletop.pose import Array

__all__ = ["YAW", "GraspEnv"]

LIFT = (0.10, 0.16)  # m, height of the gripper in the goal image
YAW = 0.25  # rad, so that the fingers, whose yaw planners leave alone, find opposite sides


class GraspEnv(TabletopEnv):
    """Grasp the cube and hold it up as in the goal image.

    The arm starts anywhere with an open gripper. Sub-goals: the cube gripped where it lies; lifted.
    """

    task = "grasp"

    turned = YAW

    @override
    def arrange(self) -> None:
        rng = self.np_random
        cube = np.array([*rng.uniform(*OBJECT_REGION), CUBE])
        self.place_object(cube, rng.uniform(-self.turned, self.turned))
        self.place_arm(free_point(self, rng), OPEN)
        self._target = np.array([*cube[:2], rng.uniform(*LIFT)])

    @override
    def script(self) -> Script:
        if not holds(self):
            yield from grasp(self)
        yield MARK
        yield from move_to(self, self._target, speed=0.8)

    @override
    def well_posed(self, start: Array) -> bool:
        return bool(self.goal_object[2] > LIFT[0] - 0.02)

    @override
    def cost_at(self, tool: Array, object_position: Array) -> Array:
        return super().cost_at(tool, object_position) + 0.02 * (1.0 - tool[..., 6])
