"""Task-agnostic interaction data: smooth random motion mixed with noisy contact with the object.

Within one episode the arm approaches from anywhere, goes round the object, pushes or lifts it in
all directions, and retracts while it lies still. Nobody says what any of it is good for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from worldmodel.envs.tabletop.appearance import APPEARANCES
from worldmodel.envs.tabletop.behaviours import (
    free_point,
    grasp,
    grip,
    move_to,
    push_to,
    retract,
    step_towards,
)
from worldmodel.envs.tabletop.environment import (
    ACTION_HIGH,
    CLOSED,
    CUBE,
    OPEN,
    WORKSPACE,
    TabletopEnv,
)
from worldmodel.envs.tabletop.pose import Array
from worldmodel.envs.tasks import TASKS, make

__all__ = ["MIXTURES", "Episode", "Mixture", "collect_episode", "explore", "labels"]

_MARGIN = 0.045  # m that objects start from the rim, and are pushed to


@dataclass(frozen=True)
class Episode:
    """One recorded episode of T frames; the action at T-1 is applied but its result not seen."""

    frames: NDArray[np.uint8]  # [T, s, s, 3]
    actions: NDArray[np.float32]  # [T, 7]
    states: NDArray[np.float32]  # [T, 7]
    objects: NDArray[np.float32]  # [T, 3], privileged; for probes only
    seed: int
    task: str


@dataclass(frozen=True)
class Mixture:
    """How often an episode does what, as relative weights."""

    wander: float
    push: float
    lift: float


MIXTURES = {
    "reach": Mixture(wander=0.8, push=0.2, lift=0.0),
    "push": Mixture(wander=0.25, push=0.75, lift=0.0),
    "grasp": Mixture(wander=0.2, push=0.1, lift=0.7),
    "reach_with_object": Mixture(wander=0.2, push=0.1, lift=0.7),
    "pick_and_place": Mixture(wander=0.2, push=0.1, lift=0.7),
}


def explore(env: TabletopEnv, rng: np.random.Generator, mixture: Mixture) -> Iterator[Array]:
    """Noisy actions for ever, from wherever the simulation is."""
    kinds = ("wander", "push", "lift")
    weights = np.array([mixture.wander, mixture.push, mixture.lift])
    while True:
        kind = str(rng.choice(kinds, p=weights / weights.sum()))
        noise, speed = 0.012 * rng.random() ** 2, rng.uniform(0.6, 1.0)
        drift = np.zeros(3)
        for action in _segment(env, rng, kind):
            drift = 0.7 * drift + noise * rng.standard_normal(3)
            action[:3] = speed * action[:3] + drift
            yield np.clip(action, -ACTION_HIGH, ACTION_HIGH)


def _segment(env: TabletopEnv, rng: np.random.Generator, kind: str) -> Iterator[Array]:
    if kind == "wander":
        yield from _wander(env, rng)
        return
    if kind == "push":
        if env.tool_pose()[6] < CLOSED:
            yield from grip(env, CLOSED)
        aim = rng.normal(0.0, 0.4 * CUBE)
        yield from push_to(env, _push_target(env, rng), attempts=int(rng.integers(1, 3)), aim=aim)
    else:
        yield from grasp(env)
        for _ in range(int(rng.integers(1, 3))):
            yield from move_to(env, rng.uniform(*WORKSPACE), tolerance=0.03, limit=8)
        if rng.random() < 0.7:
            yield from _put_down(env, rng)
        yield from grip(env, OPEN)
    if rng.random() < 0.85:
        yield from retract(env, free_point(env, rng, low=0.08))
        for _ in range(int(rng.integers(0, 3))):
            yield np.zeros(7)


def _put_down(env: TabletopEnv, rng: np.random.Generator) -> Iterator[Array]:
    """Lower what is held, onto the table or roughly onto another object."""
    place = np.array([*env.tool_pose()[:2], CUBE])
    tops = env.tops()
    if tops and rng.random() < 0.6:
        top = tops[int(rng.integers(len(tops)))]
        place = top + np.array([*rng.normal(0.0, 0.012, 2), CUBE])
        yield from move_to(env, place + np.array([0.0, 0.0, 0.08]), tolerance=0.015)
    yield from move_to(env, place + np.array([0.0, 0.0, 0.005]))


def _wander(env: TabletopEnv, rng: np.random.Generator) -> Iterator[Array]:
    """Smooth motion past random waypoints, half of them near the object."""
    for _ in range(int(rng.integers(1, 4))):
        waypoint = rng.uniform(*WORKSPACE)
        if rng.random() < 0.5:
            near = env.object_position() + rng.normal(0.0, [0.06, 0.06, 0.03])
            waypoint = np.clip(near, *WORKSPACE)
        velocity = np.zeros(7)
        for _ in range(int(rng.integers(3, 9))):
            velocity = 0.5 * velocity + 0.5 * step_towards(env, waypoint)
            yield velocity.copy()


def _push_target(env: TabletopEnv, rng: np.random.Generator) -> Array:
    low, high = WORKSPACE[0, :2] + _MARGIN, WORKSPACE[1, :2] - _MARGIN
    cube = env.object_position()[:2]
    angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(0.04, 0.22)
    target = cube + distance * np.array([np.cos(angle), np.sin(angle)])
    return np.clip(target, low, high)


def labels(tasks: Sequence[str], appearance: str) -> list[str]:
    """What episodes of `collect_episode` are about: tasks, told apart by their appearance."""
    worn = APPEARANCES if appearance == "both" else (appearance,)
    return [_label(task, appearance) for appearance in worn for task in tasks]


def _label(task: str, appearance: str) -> str:
    return task if appearance == "plain" else f"{task}_{appearance}"


def collect_episode(
    tasks: str | Sequence[str],
    seed: int,
    length: int,
    image_size: int,
    appearance: str = "plain",
    split: str = "train",
) -> Episode:
    """Explore the scene of a task for ``length`` control steps; of several, seeds take turns.

    With appearance ``both``, every round of the tasks is plain and rich in turn.

    The same seed gives the same episode, whatever ran before it in this process, and in either
    appearance the same motion.

    Raises:
        ValueError: No such task, image size, appearance or split.
    """
    tasks = (tasks,) if isinstance(tasks, str) else tasks
    task = tasks[seed % len(tasks)]
    if appearance == "both":
        appearance = APPEARANCES[seed // len(tasks) % len(APPEARANCES)]
    env, rng = _scene(task, image_size, appearance, split), np.random.default_rng(seed)
    env.randomize(rng.spawn(1)[0])
    mixture = MIXTURES[task]
    _start_anywhere(env, rng, CLOSED if mixture.lift < rng.random() else OPEN)
    actions = explore(env, rng, mixture)
    rows: list[tuple[NDArray[np.uint8], NDArray[np.float32], Array, Array]] = []
    for _ in range(length):
        action = next(actions).astype(np.float32)
        rows.append((env.camera_image(), action, env.tool_pose(), env.object_position()))
        env.advance(action.astype(np.float64))
    frames, taken, states, objects = (np.stack(column) for column in zip(*rows, strict=True))
    single = np.float32
    about = _label(task, appearance)
    return Episode(frames, taken, states.astype(single), objects.astype(single), seed, about)


@lru_cache(maxsize=len(APPEARANCES) * len(TASKS))
def _scene(task: str, image_size: int, appearance: str, split: str) -> TabletopEnv:
    return make(task, image_size, appearance, split)


def _start_anywhere(env: TabletopEnv, rng: np.random.Generator, closedness: float) -> None:
    env.reset_scene()
    env.scatter(rng, WORKSPACE[0, :2] + _MARGIN, WORKSPACE[1, :2] - _MARGIN)
    env.place_arm(free_point(env, rng), closedness)
    env.settle()
