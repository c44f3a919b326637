"""PushT of gym-pusht: a round agent pushes a T-shaped block to where the goal image shows both.

Starts are the suite's. Goals are reached from them by 50 steps of scripted pushes, then undone. The
suite's green mark, reward and termination are left out. Lengths are pixels of a board of 512.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from worldmodel.envs import push_t_scripts
from worldmodel.envs.push_t_picture import picture
from worldmodel.envs.suite_env import Array, SuiteEnv, Verdict, describe, suite_module

__all__ = ["PushTEnv"]

REACH, _SIDE, _RADIUS = 100.0, 512.0, 15.0  # px: of an action of 1, of the board, of the agent
_PACE = 0.408  # px that the agent comes in a step, of each px that its target is ahead


class PushTEnv(SuiteEnv):
    """Push the block, and end beside it, as in the goal image.

    Actions are where the agent heads for, relative to where it is, 100 pixels a unit. Success is a
    norm below 20 pixels over both positions, and the block within 20 degrees; strictly, the block
    alone within 10 pixels and 10 degrees.
    """

    metadata = describe(
        hz=10,
        kind="delta",
        actions={"dx": REACH, "dy": REACH},
        states=["x", "y", "x_velocity", "y_velocity"],
        distance_unit="px",
        hidden=["x_velocity", "y_velocity"],
    )

    strict_steps = 3

    def __init__(self, image_size: int = 64, render_mode: str | None = None) -> None:
        super().__init__(image_size, render_mode)
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it greets on standard output
        suite = suite_module("gym_pusht.envs.pusht", "pip install 'worldmodel[pusht]'")
        self._env: Any = suite.PushTEnv("state")

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
        suite, agent = self._env, self._env.agent
        target = np.asarray(agent.position) + REACH * action
        x, y = np.clip(target, _RADIUS, _SIDE - _RADIUS).tolist()
        # As the suite's own step, without its reward, which takes most of the time.
        for _ in range(round(1 / (suite.dt * suite.control_hz))):
            (u, v), (at_x, at_y) = agent.velocity, agent.position
            push_x = suite.k_p * (x - at_x) - suite.k_v * u
            push_y = suite.k_p * (y - at_y) - suite.k_v * v
            agent.velocity = u + push_x * suite.dt, v + push_y * suite.dt
            suite.space.step(suite.dt)

    @override
    def camera_image(self) -> NDArray[np.uint8]:
        return picture(self._env, self.image_size)

    @override
    def proprioception(self) -> Array:
        return np.array([*self._env.agent.position, *self._env.agent.velocity])

    @override
    def scene(self) -> Array:
        """Agent's and block's place (px) and the block's angle (rad), ``[5]``."""
        agent, block = self._env.agent, self._env.block
        return np.array([*agent.position, *block.position, block.angle])

    @override
    def judge(self, scene: Array, goal: Array) -> Verdict:
        offset = scene - goal
        turned = np.degrees(abs((offset[4] + np.pi) % (2 * np.pi) - np.pi))
        distance, block = np.linalg.norm(offset[:4]), np.linalg.norm(offset[2:4])
        success, strict = distance < 20 and turned < 20, block < 10 and turned < 10
        return Verdict(float(distance), bool(success), bool(strict))

    def snapshot(self) -> Array:
        """Places, velocities and turns of agent and block, ``[10]``."""
        agent, block = self._env.agent, self._env.block
        moving = [*agent.velocity, *block.velocity, block.angular_velocity]
        return np.array([*self.scene(), *moving])

    def restore(self, snapshot: Array) -> None:
        """Continue from a snapshot; the goal stays."""
        numbers = snapshot.tolist()
        self._env._setup()
        agent, block = self._env.agent, self._env.block
        block.angle = numbers[4]  # first, as the block's place depends on it
        agent.position, block.position = numbers[:2], numbers[2:4]
        agent.velocity, block.velocity = numbers[5:7], numbers[7:9]
        block.angular_velocity = numbers[9]

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """Scripted pushes of the block to random places at random speeds, with noise."""
        for move in push_t_scripts.explore(self._places, rng):
            ahead = move / (_PACE * push_t_scripts.HELD)
            yield from repeat(np.clip(ahead / REACH, -1.0, 1.0), push_t_scripts.HELD)

    def _places(self) -> tuple[Array, Array]:
        """The agent's, and that of the block's middle, ``[2]`` px each."""
        block = self._env.block
        middle = block.local_to_world(block.center_of_gravity)
        return np.array(self._env.agent.position), np.array(middle)
