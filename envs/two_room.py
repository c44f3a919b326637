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

from worldmodel.envs.suite_env import Array, SuiteEnv, Verdict, check_task, describe

__all__ = ["DOOR", "MIDDLE", "RADIUS", "SPEED", "TwoRoomEnv", "make"]

SIDE, RIM, RADIUS, SPEED = 224.0, 14.0, 7.0, 5.0
MIDDLE, DOOR = 112.0, 49.0  # x of the wall, y of the door
_WALLS = np.array([[107, RIM, 117, DOOR - 14], [107, DOOR + 14, 117, SIDE - RIM]])  # x, y to x, y
_LOW, _HIGH = RIM + RADIUS, SIDE - RIM - RADIUS
_ASIDE = 17.0  # from the wall's middle, where the disk is clear of it


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
        inside = np.outer(*2 * [self._covered(RIM, SIDE - RIM)])
        wall = sum(np.outer(self._covered(y, v), self._covered(x, u)) for x, y, u, v in _WALLS)
        self._room = 255.0 * (inside - wall)[..., None].repeat(3, -1)

    def _covered(self, low: float, high: float) -> Array:
        """Which share of each pixel lies in an interval of the board, ``[s]``."""
        overlap = np.minimum(self._edges + self._pixel, high) - np.maximum(self._edges, low)
        return np.clip(overlap / self._pixel, 0.0, 1.0)

    @override
    def arrange(self) -> None:
        rooms = self.np_random.permutation(2)
        self._position = _place(self.np_random, rooms[1])
        self.set_goal()
        self._position = _place(self.np_random, rooms[0])

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
        middle = self._edges + self._pixel / 2
        apart = np.hypot(middle - self._position[0], middle[:, None] - self._position[1])
        disk = np.clip((RADIUS - apart) / self._pixel + 0.5, 0.0, 1.0)[..., None]
        return ((1 - disk) * self._room + disk * [230.0, 20.0, 20.0]).astype(np.uint8)

    @override
    def proprioception(self) -> Array:
        return self._position.copy()

    @override
    def scene(self) -> Array:
        return self._position.copy()

    @override
    def judge(self, scene: Array, goal: Array) -> Verdict:
        distance = float(np.linalg.norm(scene - goal))
        across = (scene[0] < MIDDLE) != (goal[0] < MIDDLE)
        return Verdict(distance, distance <= 16.0, distance <= 8.0 and not across)

    def snapshot(self) -> Array:
        """The disk's place, ``[2]`` px."""
        return self._position.copy()

    def restore(self, snapshot: Array) -> None:
        """Put the disk there."""
        self._position = snapshot.copy()

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """Noisy walks to random places, half of them behind the door."""
        while True:
            target = _place(rng, int(rng.integers(2)))
            speed, drift = rng.uniform(0.4, 1.0), np.zeros(2)
            for _ in range(int(rng.integers(10, 70))):
                drift = 0.8 * drift + 0.25 * rng.standard_normal(2)
                yield np.clip(speed * self._towards(target) + drift, -1.0, 1.0)

    def expert(self) -> Iterator[Array]:
        """Walk to the goal, through the door if it is in the other room."""
        while True:
            yield self._towards(self.goal)

    def _towards(self, target: Array) -> Array:
        side = 1.0 if target[0] > MIDDLE else -1.0
        if side * (self._position[0] - MIDDLE) < _ASIDE - 5:
            aligned = abs(self._position[1] - DOOR) < 5
            target = np.array([MIDDLE + (side if aligned else -side) * _ASIDE, DOOR])
        step = (target - self._position) / SPEED
        return step / max(1.0, float(np.abs(step).max()))


def _place(rng: np.random.Generator, room: int) -> Array:
    """A random place, ``[2]`` px, clear of the wall."""
    x = rng.uniform(_LOW, MIDDLE - 12.0)
    return np.array([SIDE - x if room else x, rng.uniform(_LOW, _HIGH)])


def make(task: str = "", *, image_size: int = 64, render_mode: str | None = None) -> TwoRoomEnv:
    """The environment; it has one task."""
    check_task(task, "two_room")
    return TwoRoomEnv(image_size, render_mode)
