"""The moment whose landscape is drawn: the start of an episode, or a pair of image files.

A planner sees the two images, the state and the bounds. What truly leads from one image to the
other is for the reader only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from worldmodel.agents.views import Image
from worldmodel.envs import ACTION_HIGH, TabletopEnv
from worldmodel.envs.tabletop.reach import ReachEnv
from worldmodel.errors import UserError
from worldmodel.evaluation.episodes import SEED_OFFSET
from worldmodel.evaluation.image_files import read_image
from worldmodel.nn.pose import difference
from worldmodel.nn.standardisation import POSE_WIDTH

__all__ = ["PUBLISHED_LIMIT", "Scene", "of_episode", "of_files"]

PUBLISHED_LIMIT = 0.075
"""Box in which V-JEPA 2-AC searches, m per step."""


@dataclass(frozen=True)
class Scene:
    """Where to plan from and to; the fields after ``bounds`` are not known to a planner.

    Attributes:
        image: At the start, ``uint8 [h, w, 3]``.
        goal: Goal image.
        state: Proprioception at the start, ``[P]``.
        bounds: Of actions, both ways, ``[A]``.
        true_actions: What truly leads to the goal, ``[H, A]``, if that is known.
        true_name: What they are, in words.
        way: From where to where the task is to move something, ``[2, 3]`` (m), as seen from the
            gripper, if there is a task.
    """

    image: Image
    goal: Image
    state: NDArray[np.float32]
    bounds: NDArray[np.float32]
    true_actions: NDArray[np.float32] | None = None
    true_name: str = "true action"
    way: NDArray[np.float64] | None = None


def of_episode(
    env: TabletopEnv, seed: int, horizon: int, *, limit: float | None, staged: bool
) -> Scene:
    """The start of an episode, with the expert's first actions.

    Args:
        env: Its task.
        seed: As in ``worldmodel plan``.
        horizon: H.
        limit: Bound of displacements, m; None for the arm's own.
        staged: Take the first sub-goal for the goal.
    """
    observation, info = env.reset(seed=SEED_OFFSET + seed)
    tool = env.tool_pose()[:3]
    if isinstance(env, ReachEnv):
        way = np.stack([tool, env.goal_state[:3]])
    else:
        way = np.stack([env.object_position(), env.goal_object])
    return Scene(
        observation["image"],
        info["subgoals"][0] if staged else observation["goal"],
        observation["state"],
        _bounds(limit),
        _expert(env, horizon),
        "the expert's actions",
        way - tool,
    )


def of_files(
    start: str,
    goal: str,
    size: int,
    state: Sequence[float],
    state_width: int,
    horizon: int,
    *,
    action: Sequence[float] = (),
    goal_state: Sequence[float] = (),
    limit: float | None = None,
) -> Scene:
    """A pair of images, with the action between them if it or the second state is given.

    Over a longer horizon the action is that of every step, an equal share.

    Args:
        start: Path of the first image.
        goal: Path of the second.
        size: Side of the images that the world reads, pixels.
        state: Proprioception at the first.
        state_width: P of the world.
        horizon: H.
        action: Between the two, ``[7]``.
        goal_state: Pose at the second, ``[7]``, of which the action follows.
        limit: Bound of displacements, m; None for that of V-JEPA 2-AC.

    Raises:
        UserError: A file cannot be used, or a state or an action has another width.
    """
    _check_width("state", state, state_width)
    if action:
        _check_width("action", action, len(ACTION_HIGH))
    if goal_state:
        _check_width("state", state, POSE_WIDTH)
        _check_width("goal_state", goal_state, POSE_WIDTH)
        action = difference(*torch.tensor([state, goal_state], dtype=torch.float64)).tolist()
    share = np.array([action] * horizon, np.float32) / np.float32(horizon) if action else None
    bounds = _bounds(PUBLISHED_LIMIT if limit is None else limit)
    bounds[-1] = 1.0  # the gripper may close or open at once
    return Scene(
        read_image("start", Path(start), size),
        read_image("goal", Path(goal), size),
        np.array(state, np.float32),
        bounds,
        share,
        "true action" if horizon == 1 else "true action, a step's share",
    )


def _bounds(limit: float | None) -> NDArray[np.float32]:
    bounds = ACTION_HIGH.copy()
    if limit is not None:
        bounds[:3] = limit
    return bounds


def _expert(env: TabletopEnv, horizon: int) -> NDArray[np.float32]:
    """The expert's next actions ``[H, A]``; the simulator is left where it is."""
    start = env.snapshot()
    actions: list[NDArray[np.float64]] = []
    for action in islice(env.expert(), horizon):
        actions.append(np.clip(action, -ACTION_HIGH, ACTION_HIGH))
        env.advance(action)
    env.restore(start)
    return np.stack(actions).astype(np.float32)


def _check_width(key: str, values: Sequence[float], width: int) -> None:
    if len(values) != width:
        names = (
            ": x, y, z (m), Euler angles (rad), gripper closedness" if width == POSE_WIDTH else ""
        )
        raise UserError(
            f"Expected {key}=[…] of {width} numbers{names}, got {len(values)}; give all of them"
        )
