"""PushT of gym-pusht: a round agent pushes a T-shaped block to where the goal image shows both.

Starts are the suite's. Goals are reached from them by 50 steps of scripted pushes, then undone. The
suite's green mark, reward and termination are left out. Lengths are pixels of a board of 512.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from worldmodel.envs.suite_env import Array, SuiteEnv, Verdict, describe, suite_module

__all__ = ["PushTEnv", "make"]

_REACH, _SIDE, _RADIUS = 100.0, 512.0, 15.0  # px: of an action of 1, of the board, of the agent
_OFF_BOARD = np.array([-1e4, -1e4, 0.0])
_CLEAR = 105.0  # px around the block's middle, where the agent does not touch it


class PushTEnv(SuiteEnv):
    """Push the block, and end beside it, as in the goal image.

    Actions are where the agent heads for, relative to where it is, 100 pixels a unit. Success is a
    norm below 20 pixels over both positions, and the block within 20 degrees; strictly, the block
    alone within 10 pixels and 10 degrees.
    """

    metadata = describe(
        hz=10,
        kind="delta",
        actions={"dx": _REACH, "dy": _REACH},
        states=["x", "y", "x_velocity", "y_velocity"],
        distance_unit="px",
        hidden=["x_velocity", "y_velocity"],
    )

    def __init__(self, image_size: int = 64, render_mode: str | None = None) -> None:
        super().__init__(image_size, render_mode)
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it greets on standard output
        suite = suite_module("gym_pusht.envs.pusht", "pip install 'worldmodel[pusht]'")
        self._resize = suite.cv2.resize
        self._env: Any = suite.PushTEnv("state", block_cog=None)
        self._goal = np.zeros(5)

    @override
    def arrange(self) -> None:
        self._env.reset(seed=int(self.np_random.integers(2**31)))
        for _ in range(5):  # agent and block may overlap at first
            self.advance(np.zeros(2))
        start, pushes = self.snapshot(), self.explore(self.np_random)
        for _ in range(50):
            self.advance(next(pushes))
        self.set_goal()
        self.restore(start)

    @override
    def advance(self, action: NDArray[np.floating[Any]]) -> None:
        self.restore(self.snapshot())  # forgets contacts, so that a snapshot is all there is
        target = np.asarray(self._env.agent.position) + _REACH * action
        self._env.step(np.clip(target, _RADIUS, _SIDE - _RADIUS))

    @override
    def camera_image(self) -> NDArray[np.uint8]:
        pixels = self._env._get_img(self._env._draw(), int(_SIDE), int(_SIDE))
        area = 3  # cv2.INTER_AREA, so that nothing thin is skipped
        return np.asarray(self._resize(pixels, 2 * (self.image_size,), interpolation=area))

    @override
    def proprioception(self) -> Array:
        return np.array([*self._env.agent.position, *self._env.agent.velocity])

    @override
    def mark_goal(self) -> None:
        self._goal = self._poses()

    @override
    def verdict(self) -> Verdict:
        offset = self._poses() - self._goal
        turned = np.degrees(abs((offset[4] + np.pi) % (2 * np.pi) - np.pi))
        distance, block = np.linalg.norm(offset[:4]), np.linalg.norm(offset[2:4])
        success, strict = distance < 20 and turned < 20, block < 10 and turned < 10
        return Verdict(float(distance), bool(success), bool(strict))

    def snapshot(self) -> Array:
        """Places, velocities and turns of agent and block, ``[10]``."""
        agent, block = self._env.agent, self._env.block
        moving = [*agent.velocity, *block.velocity, block.angular_velocity]
        return np.array([*self._poses(), *moving])

    def restore(self, snapshot: Array) -> None:
        """Continue from a snapshot; the goal stays."""
        numbers = snapshot.tolist()
        self._env._setup()
        self._env.goal_pose = _OFF_BOARD  # the suite's mark is never seen, nor reached
        agent, block = self._env.agent, self._env.block
        block.angle = numbers[4]  # first, as the block's place depends on it
        agent.position, block.position = numbers[:2], numbers[2:4]
        agent.velocity, block.velocity, block.angular_velocity = (
            numbers[5:7],
            numbers[7:9],
            numbers[9],
        )
        for body in (agent, block):
            self._env.space.reindex_shapes_for_body(body)  # what is drawn follows

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """Go round the block, push it towards a random place at a random speed, back off; noisy."""
        while True:
            target, aim = rng.uniform(100.0, 412.0, 2), rng.normal(0.0, 20.0)
            speed, noise = rng.uniform(0.1, 0.5), rng.uniform(0.0, 0.1)
            back = -speed * _directions(self._middle(), target)[0]
            pause = [back] * int(rng.integers(0, 4))
            for action in chain(self._push(target, aim, speed), pause):
                yield np.clip(action + noise * rng.standard_normal(2), -1.0, 1.0)

    def _push(self, target: Array, aim: float, speed: float) -> Iterator[Array]:
        """Go behind the block, then push it to a place (px), ``aim`` (px) beside its middle."""
        for _ in range(25):
            along, across = _directions(self._middle(), target)
            away = np.asarray(self._env.agent.position) - self._middle()
            angle = np.arctan2(away @ across, -away @ along)  # 0 behind the block
            if abs(angle) < 0.2 and np.linalg.norm(away) < 1.2 * _CLEAR:
                break
            angle = np.sign(angle) * max(0.0, abs(angle) - 0.6)
            bearing = _CLEAR * (np.sin(angle) * across - np.cos(angle) * along)
            yield (bearing - away) / _REACH
        along, across = _directions(self._middle(), target)
        for _ in range(int(_CLEAR / (40 * speed)) + 10):
            if (target - self._middle()) @ along < 0:
                break
            away = np.asarray(self._env.agent.position) - self._middle()
            yield speed * along + across * (aim - away @ across) / _REACH

    def _middle(self) -> Array:
        block = self._env.block
        return np.array(block.local_to_world(block.center_of_gravity))

    def _poses(self) -> Array:
        """Agent's and block's place (px) and the block's angle (rad), ``[5]``."""
        agent, block = self._env.agent, self._env.block
        return np.array([*agent.position, *block.position, block.angle])


def _directions(start: Array, end: Array) -> tuple[Array, Array]:
    """Unit vectors ``[2]`` from one place to another, and across."""
    along = (end - start) / max(1e-6, float(np.linalg.norm(end - start)))
    return along, np.array([-along[1], along[0]])


def make(task: str = "", *, image_size: int = 64, render_mode: str | None = None) -> PushTEnv:
    """The environment; it has one task."""
    if task:
        raise ValueError(f"Expected push_t without a task, got {task!r}; write push_t")
    return PushTEnv(image_size, render_mode)
