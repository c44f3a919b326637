"""The moment whose landscape is drawn: the start of an episode, or a pair of image files.

A planner sees the two images, the state and the bounds. What truly leads from one image to the
other is for the reader only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from worldmodel.agents.behaviour import follow
from worldmodel.agents.environment import Environment
from worldmodel.agents.views import Image, Views
from worldmodel.envs.protocol import Expert, Simulator
from worldmodel.errors import UserError
from worldmodel.evaluation.episodes import SEED_OFFSET
from worldmodel.evaluation.image_files import read_image
from worldmodel.nn.pose import difference
from worldmodel.spec import POSE_ACTIONS, POSE_STATES, ActionSpec, CameraSpec, Spec, StateSpec

__all__ = ["PUBLISHED_LIMIT", "Pair", "Scene", "limited", "of_episode", "of_files", "published"]

PUBLISHED_LIMIT = 0.075
"""Box in which V-JEPA 2-AC searches, m per step."""
_TURN = 0.25  # rad per step between image files; V-JEPA 2-AC turns nothing
_NAMED = "x, y, z (m), Euler angles (rad), gripper closedness"


@dataclass(frozen=True)
class Scene:
    """Where to plan from and to; the fields after ``actions`` are not known to a planner.

    Attributes:
        image: At the start, ``uint8 [h, w, 3]``.
        goal: Goal image.
        state: Proprioception at the start, ``[P]``.
        actions: What can be done.
        true_actions: What truly leads to the goal, ``[H, A]``, if that is known.
        true_name: What they are, in words.
        way: From where to where the task is to move something, ``[2, 3]`` (m), as seen from the
            gripper, if that is known.
    """

    image: Image
    goal: Image
    state: NDArray[np.float32]
    actions: ActionSpec
    true_actions: NDArray[np.float32] | None = None
    true_name: str = "true action"
    way: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Pair:
    """Two image files, and what a user knows of them.

    Attributes:
        start: Path of the first image.
        goal: Path of the second.
        state: Proprioception at the first, ``[P]``.
        action: Between the two, ``[A]``; () if it is not known.
        goal_state: Pose at the second, of which the action follows; () if it is not known.
    """

    start: str
    goal: str
    state: Sequence[float]
    action: Sequence[float] = ()
    goal_state: Sequence[float] = ()


def published() -> Spec:
    """What V-JEPA 2-AC says of actions and states: poses under their changes."""
    high = (*[PUBLISHED_LIMIT] * 3, *[_TURN] * 3, 1.0)  # the gripper may close or open at once
    low, rest = tuple(-bound for bound in high), (0.0,) * len(high)
    actions = ActionSpec(POSE_ACTIONS, low, high, rest, "pose_delta")
    return Spec(actions, StateSpec(POSE_STATES, "pose"), ())


def limited(actions: ActionSpec, limit: float | None) -> ActionSpec:
    """Actions whose displacements are bounded anew, m per step; None leaves them as they are.

    Raises:
        UserError: They are no displacements.
    """
    if limit is None:
        return actions
    if actions.kind != "pose_delta":
        raise UserError(
            "Expected no limit=… with actions other than pose_delta, which has displacements in m, "
            f"got actions of kind {actions.kind}; leave it out, and their own bounds are drawn"
        )
    box = (limit,) * 3
    return replace(
        actions, low=(*(-end for end in box), *actions.low[3:]), high=(*box, *actions.high[3:])
    )


def of_episode(
    env: Environment,
    views: Views,
    spec: Spec,
    seed: int,
    horizon: int,
    *,
    limit: float | None,
    staged: bool,
) -> Scene:
    """The start of an episode, with the expert's first actions where the environment has one.

    Args:
        env: Its task. It is left some steps later.
        views: How its images become those that the world reads.
        spec: What it offers.
        seed: As in ``worldmodel plan``.
        horizon: H.
        limit: Bound of displacements, m; None for the environment's own.
        staged: Take the first sub-goal for the goal.

    Raises:
        UserError: There are no sub-goals, or the limit is not of such actions.
    """
    actions = limited(spec.actions, limit)
    observation, info = env.reset(seed=SEED_OFFSET + seed)
    if staged and "subgoals" not in info:
        raise UserError(
            "Expected an environment with info['subgoals'] for task.stage_steps, got one without; "
            "leave task.stage_steps empty"
        )
    goal = views.joined(observation["goal"], "goal")
    if staged:
        goal = views.joined(info["subgoals"], "subgoals")[0]
    image, goal = (
        views.seen(observation).clone(),
        goal.clone(),
    )  # an environment may draw over its own
    state = np.array(observation.get("state", ()), np.float32).reshape(-1)
    way = _way(env) if spec.composed else None
    true = _expert(env, spec.actions, horizon)
    return Scene(image.numpy(), goal.numpy(), state, actions, true, "the expert's actions", way)


def of_files(
    pair: Pair, size: int, spec: Spec, horizon: int, *, limit: float | None = None
) -> Scene:
    """A pair of images, with the action between them if it or the second state is given.

    Over a longer horizon the action is that of every step, an equal share.

    Args:
        pair: The files.
        size: Side of the images that the world reads, pixels.
        spec: What actions and states mean.
        horizon: H.
        limit: Bound of displacements, m; None for the spec's own.

    Raises:
        UserError: A file cannot be used, a state or an action has another width, or the states are
            no poses of which an action follows.
    """
    actions, action = limited(spec.actions, limit), pair.action
    state_names = _NAMED if spec.states.kind == "pose" else ", ".join(spec.states.names)
    _check_width("state", pair.state, spec.states.width, state_names)
    if action:
        named = _NAMED if actions.kind == "pose_delta" else ", ".join(actions.names)
        _check_width("action", action, actions.width, named)
    if pair.goal_state:
        if not spec.composed:
            raise UserError(
                "Expected action=[…] in place of goal_state, of which an action follows for poses "
                f"under pose_delta only, got actions of kind {actions.kind}"
            )
        _check_width("goal_state", pair.goal_state, spec.states.width, _NAMED)
        both = torch.tensor([pair.state, pair.goal_state], dtype=torch.float64)
        action = difference(*both).tolist()
    camera = CameraSpec("front", size, size)
    return Scene(
        read_image("start", Path(pair.start), camera),
        read_image("goal", Path(pair.goal), camera),
        np.array(pair.state, np.float32),
        actions,
        _shares(actions, action, horizon) if action else None,
        "true action" if horizon == 1 or not _adds_up(actions) else "true action, a step's share",
    )


def _adds_up(actions: ActionSpec) -> bool:
    """Whether actions are changes, of which several make a larger one."""
    return actions.kind in ("pose_delta", "delta")


def _shares(actions: ActionSpec, action: Sequence[float], horizon: int) -> NDArray[np.float32]:
    """An action as one of every step ``[H, A]``: its share of a change, else itself."""
    parts = horizon if _adds_up(actions) else 1
    return np.array([action] * horizon, np.float32) / np.float32(parts)


def _way(env: Environment) -> NDArray[np.float64] | None:
    """The object's way to its goal, or the gripper's own where the object lies there already."""
    simulator = env.unwrapped
    if not isinstance(simulator, Simulator):
        return None
    tool, here, there = (
        simulator.proprioception()[:3],
        simulator.object_position(),
        simulator.goal_object,
    )
    if np.linalg.norm(there - here) <= simulator.success_distance:
        here, there = tool, simulator.goal_state[:3]
    return np.stack([here, there]) - tool


def _expert(env: Environment, actions: ActionSpec, horizon: int) -> NDArray[np.float32] | None:
    """The expert's next actions ``[H, A]``, then rest; None without an expert."""
    if not isinstance(env.unwrapped, Expert):
        return None
    script, over = env.unwrapped.expert(), False
    taken = np.tile(np.array(actions.rest, np.float32), (horizon, 1))
    for step in range(horizon):
        if not over:
            taken[step], _, over = follow(env, script)
    return taken.clip(np.array(actions.low, np.float32), np.array(actions.high, np.float32))


def _check_width(key: str, values: Sequence[float], width: int, names: str) -> None:
    if len(values) != width:
        told = f": {names}" if names else ""
        raise UserError(
            f"Expected {key}=[…] of {width} numbers{told}, got {len(values)}; give all of them"
        )
