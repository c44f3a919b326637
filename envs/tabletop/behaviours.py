"""Scripted motions, as generators of actions that read the simulator's state at every step.

Experts are made of them, and so is exploration, which adds noise: a script looks at where the
noise has led before it yields the next action.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from worldmodel.envs.tabletop.environment import (
    ACTION_HIGH,
    CLOSED,
    CUBE,
    OPEN,
    WORKSPACE,
    TabletopEnv,
)
from worldmodel.envs.tabletop.pose import Array

__all__ = ["free_point", "grasp", "grip", "holds", "move_to", "push_to", "retract", "step_towards"]

SAFE_HEIGHT = 0.12  # m, at which a closed or loaded gripper passes over a cube
PUSH_HEIGHT = 0.03  # m, of the tool while pushing
_GAP = 0.025  # m between the gripper's middle and the cube's side before a push
_STRIDE = float(ACTION_HIGH[0])


def step_towards(env: TabletopEnv, xyz: Array, speed: float = 1.0) -> Array:
    """The action ``[7]`` that moves straight towards ``xyz`` (m), at most ``speed`` of a stride."""
    offset = xyz - env.tool_pose()[:3]
    largest = np.abs(offset).max()
    limit = speed * _STRIDE
    scale = limit / largest if largest > limit else 1.0
    return np.concatenate([offset * scale, np.zeros(4)])


def move_to(
    env: TabletopEnv, xyz: Array, *, speed: float = 1.0, tolerance: float = 0.012, limit: int = 20
) -> Iterator[Array]:
    """Go straight to ``xyz`` (m) until within ``tolerance``, for at most ``limit`` steps."""
    xyz = np.clip(xyz, *WORKSPACE)
    for _ in range(limit):
        if np.abs(env.tool_pose()[:3] - xyz).max() <= tolerance:
            return
        yield step_towards(env, xyz, speed)


def move_over(env: TabletopEnv, xyz: Array) -> Iterator[Array]:
    """Go to ``xyz`` (m) from above: rise if low, cross at a safe height, descend."""
    here = env.tool_pose()[:3]
    if here[2] < SAFE_HEIGHT - 0.02 and np.linalg.norm(here[:2] - xyz[:2]) > 0.02:
        yield from move_to(env, np.array([*here[:2], SAFE_HEIGHT]))
    above = np.array([*xyz[:2], max(SAFE_HEIGHT, float(xyz[2]))])
    yield from move_to(env, above, tolerance=0.02)
    yield from move_to(env, xyz)


def push_to(
    env: TabletopEnv,
    target: Array,
    *,
    tolerance: float = 0.012,
    attempts: int = 2,
    aim: float = 0.0,
) -> Iterator[Array]:
    """Push the cube over the table to ``target`` xy (m): go behind it, then push straight.

    Args:
        env: The simulation.
        target: Where the cube's centre should end, ``[2]``.
        tolerance: Distance (m) at which the push ends.
        attempts: How often to go behind the cube again.
        aim: Sideways error (m) of the point that is pushed; for exploration.
    """
    for _ in range(attempts):
        offset = target - env.object_position()[:2]
        if np.linalg.norm(offset) <= tolerance:
            return
        along = offset / np.linalg.norm(offset)
        across = np.array([-along[1], along[0]])
        behind = env.object_position()[:2] - along * (1.2 * CUBE + _GAP) + across * aim
        yield from move_over(env, np.array([*behind, PUSH_HEIGHT]))
        for _ in range(14):
            cube, tool = env.object_position()[:2], env.tool_pose()[:2]
            remaining = float((target - cube) @ along)
            drift = abs(float((cube - tool) @ across) - -aim)
            if remaining <= 0.6 * tolerance or drift > CUBE:
                break
            # Steer so that the contact point stays on the line through the cube to the target.
            ahead = min(remaining, 0.7 * _STRIDE)
            contact = cube - along * (CUBE + 0.013) + across * aim
            sideways = across * 0.8 * float((cube - target) @ across)
            aimed = contact + along * ahead + sideways
            yield step_towards(env, np.array([*aimed, PUSH_HEIGHT]), speed=0.8)


def grip(env: TabletopEnv, closedness: float) -> Iterator[Array]:
    """Open or close the gripper where it is."""
    action = np.zeros(7)
    for _ in range(4):
        action[6] = np.clip(closedness - env.tool_pose()[6], -ACTION_HIGH[6], ACTION_HIGH[6])
        if abs(action[6]) < 1e-3:
            break
        yield action.copy()
    yield np.zeros(7)


def grasp(env: TabletopEnv) -> Iterator[Array]:
    """Open above the cube, go down around it, close."""
    cube = env.object_position()
    yield from move_to(env, np.array([*cube[:2], max(cube[2] + 0.1, SAFE_HEIGHT)]))
    yield from grip(env, OPEN)
    cube = env.object_position()
    yield from move_to(env, cube, tolerance=0.008)
    yield from grip(env, CLOSED)


def holds(env: TabletopEnv) -> bool:
    """Whether the gripper is closed around the cube."""
    tool = env.tool_pose()
    offset = np.abs(env.object_position() - tool[:3]).max()
    return bool(tool[6] > 0.5 * (OPEN + CLOSED) and offset < CUBE)


def retract(env: TabletopEnv, xyz: Array) -> Iterator[Array]:
    """Leave the object: back off straight up, then go to ``xyz`` (m)."""
    here = env.tool_pose()[:3]
    yield from move_to(env, np.array([*here[:2], max(SAFE_HEIGHT, float(here[2]))]), tolerance=0.03)
    yield from move_to(env, xyz, tolerance=0.02)


def free_point(env: TabletopEnv, rng: np.random.Generator, low: float = 0.0) -> Array:
    """A random point (m) above ``low`` at which the gripper is clear of the cube."""
    cube = env.object_position()
    while True:
        xyz = rng.uniform(*WORKSPACE)
        clear = np.linalg.norm(xyz[:2] - cube[:2]) > 0.09 or xyz[2] > cube[2] + 0.09
        if clear and xyz[2] >= low:
            return xyz
