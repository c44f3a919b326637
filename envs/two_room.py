"""TwoRoom: a disk walks from one room to the other, through the door in the wall between them.

The goal image shows the disk at a random place of the other room. Lengths are pixels of a board of
224 pixels, with the geometry of the public benchmark; here the whole disk collides, all the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from worldmodel.envs import two_room_scripts
from worldmodel.envs.suite_env import Array, SuiteEnv, Verdict, describe
from worldmodel.envs.two_room_scripts import DOOR, MIDDLE, RIM, SIDE, SPEED, random_place

__all__ = ["RADIUS", "TwoRoomEnv"]

RADIUS = 7.0
_WALLS = np.array([[107, RIM, 117, DOOR - 14], [107, DOOR + 14, 117, SIDE - RIM]])  # x, y to x, y
_LOW, _HIGH = RIM + RADIUS, SIDE - RIM - RADIUS


class TwoRoomEnv(SuiteEnv):
    """Walk into the other room, as in the goal image.

    Actions move the disk by 5 pixels a unit; it slides along walls. Success is an end within 16
    pixels of the goal; strictly, within 8 pixels and on its side of the wall.
    """

    metadata = describe(
        hz=10,
        kind="delta",
        actions={"dx": SPEED, "dy": SPEED},
        states=["x", "y"],
        distance_unit="px",
    )

    def __init__(self, image_size: int = 64, render_mode: str | None = None) -> None:
        super().__init__(image_size, render_mode)
        self._position = np.full(2, _LOW)
        self._pixel = SIDE / image_size
        self._edges = np.arange(image_size) * self._pixel
        parts = [self._covered(*part) for part in ((RIM, RIM, SIDE - RIM, SIDE - RIM), *_WALLS)]
        self._room = 255.0 * (parts[0] - sum(parts[1:]))[..., None].repeat(3, -1)

    def _covered(self, *corners: float) -> Array:
        """Which share of each pixel lies in a rectangle of the board, x, y to x, y, ``[s, s]``."""
        low, high = np.array(corners).reshape(2, 2, 1)
        overlap = np.minimum(self._edges + self._pixel, high) - np.maximum(self._edges, low)
        across, down = np.clip(overlap / self._pixel, 0.0, 1.0)
        return np.outer(down, across)

    @override
    def arrange(self) -> None:
        rooms = self.np_random.permutation(2)
        self._position = random_place(self.np_random, rooms[1])
        self.set_goal()
        self._position = random_place(self.np_random, rooms[0])

    @override
    def advance(self, action: NDArray[np.floating[Any]]) -> None:
        for _ in range(10):  # a tenth is shorter than the disk, so it leaps no wall
            here = np.clip(self._position + action * (SPEED / 10), _LOW, _HIGH)
            for wall in _WALLS:
                nearest = np.clip(here, wall[:2], wall[2:])
                apart = np.linalg.norm(here - nearest)
                if apart < RADIUS:
                    here = nearest + (here - nearest) * (RADIUS / apart)
            self._position = here

    @override
    def camera_image(self) -> NDArray[np.uint8]:
        x, y = self._position - self._pixel / 2
        apart = np.hypot(self._edges - x, self._edges[:, None] - y)
        disk = np.clip((RADIUS - apart) / self._pixel + 0.5, 0.0, 1.0)[..., None]
        return ((1 - disk) * self._room + disk * [230.0, 20.0, 20.0]).astype(np.uint8)

    @override
    def proprioception(self) -> Array:
        """Where the disk is, ``[2]`` px; there is nothing else to know."""
        return self._position.copy()

    scene = snapshot = proprioception

    @override
    def judge(self, scene: Array, goal: Array) -> Verdict:
        distance = float(np.linalg.norm(scene - goal))
        across = (scene[0] < MIDDLE) != (goal[0] < MIDDLE)
        return Verdict(distance, distance <= 16.0, distance <= 8.0 and not across)

    @override
    def admits(self) -> bool:
        """In the other room; every way there is legal, for the whole disk collides."""
        return bool((self._position[0] < MIDDLE) != (self.goal[0] < MIDDLE))

    def restore(self, snapshot: Array) -> None:
        """Put the disk there."""
        self._position = snapshot.copy()

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """Noisy walks to random places, half of them behind the door."""
        return two_room_scripts.explore(self.proprioception, rng)

    def expert(self) -> Iterator[Array]:
        """Walk to the goal, through the door if it is in the other room."""
        return two_room_scripts.walk(self.proprioception, self.goal)
