"""Pick and place: the cube onto the blue block, with the arm elsewhere in the goal image."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from typing_extensions import override

from worldmodel.envs.tabletop.behaviours import (
    SAFE_HEIGHT,
    free_point,
    grasp,
    grip,
    holds,
    move_to,
    retract,
)
from worldmodel.envs.tabletop.environment import (
    CUBE,
    MARK,
    OBJECT_REGION,
    OPEN,
    Script,
    TabletopEnv,
    add_box,
)
from worldmodel.envs.tabletop.grasp import YAW
from worldmodel.envs.tabletop.pose import Array

__all__ = ["PickAndPlaceEnv"]

BLOCK = (0.045, 0.02)  # m, half width and half height; too high to push the cube onto
APART = 0.14  # m at least between the cube and the block


class PickAndPlaceEnv(TabletopEnv):
    """Put the cube onto the block, as in the goal image, in which the arm is retracted.

    Sub-goals, as V-JEPA 2-AC uses them (§4.2): the cube gripped; the cube near its place; placed.
    """

    task = "pick_and_place"

    turned = YAW

    @override
    def add_objects(self, spec: mujoco.MjSpec) -> None:
        super().add_objects(spec)
        body: Any = spec.worldbody.add_body(name="block", mocap=True)
        half = [BLOCK[0], BLOCK[0], BLOCK[1]]
        add_box(body, "block", half, [0.1, 0.35, 0.85, 1.0], mass=1.0)

    @override
    def arrange(self) -> None:
        rng = self.np_random
        cube = rng.uniform(*OBJECT_REGION)
        self._block = cube
        while np.linalg.norm(self._block - cube) < APART:
            self._block = rng.uniform(*OBJECT_REGION)
        self.place_block(self._block)
        self.place_object(np.array([*cube, CUBE]), rng.uniform(-self.turned, self.turned))
        self.place_arm(free_point(self, rng, low=SAFE_HEIGHT), OPEN)
        self._retreat = free_point(self, rng, low=0.15)

    @override
    def scatter(self, rng: np.random.Generator, low: Array, high: Array) -> None:
        super().scatter(rng, low, high)
        self._block = self.object_position()[:2]
        while np.linalg.norm(self._block - self.object_position()[:2]) < APART:
            self._block = rng.uniform(*OBJECT_REGION)
        self.place_block(self._block)

    @override
    def tops(self) -> list[Array]:
        return [np.array([*self._block, 2 * BLOCK[1]])]

    def place_block(self, xy: Array) -> None:
        """Put the block at ``xy`` (m) on the table."""
        self._data.mocap_pos[0] = [*xy, BLOCK[1]]

    @override
    def script(self) -> Script:
        if not holds(self):
            yield from grasp(self)
        yield MARK
        here, height = self.tool_pose()[:2], 2 * BLOCK[1] + CUBE
        yield from move_to(self, np.array([*here, height + 0.08]), tolerance=0.02)
        yield from move_to(self, np.array([*self._block, height + 0.08]))
        yield MARK
        yield from move_to(self, np.array([*self._block, height + 0.005]), tolerance=0.006)
        yield from grip(self, OPEN)
        yield from retract(self, self._retreat)

    @override
    def well_posed(self, start: Array) -> bool:
        placed = np.linalg.norm(self.goal_object[:2] - self._block) < BLOCK[0]
        return bool(placed and self.goal_object[2] > 2 * BLOCK[1])
