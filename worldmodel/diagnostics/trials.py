"""What the simulator knows of the way to a goal: solved episodes, and choices with their true cost.

Privileged throughout, and for diagnosis only. The true cost-to-go of a state is the number of
control steps that the scripted expert needs from there until the task is solved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from worldmodel.agents.environment import Environment, contract
from worldmodel.agents.planner import Bounds
from worldmodel.agents.views import Image
from worldmodel.envs.protocol import Simulator
from worldmodel.evaluation.episodes import SEED_OFFSET

__all__ = ["Fork", "Moment", "Trial", "run_trial", "steps_to_go", "views"]

_PERSISTENCE = 0.7  # of the noise on actions, from one control step to the next
_NOISE = 0.01  # m, of the noise on the expert's actions on the way to a fork
_SPREAD = 0.5  # standard deviation of wild candidates, as a share of half the action range


@dataclass(frozen=True)
class Moment:
    """Where the simulation was.

    Attributes:
        snapshot: To be there again, in any appearance of the task.
        state: Proprioception, ``float32 [P]``.
        to_go: Control steps that the expert needs from there.
        cost: The task's shaped cost, m.
    """

    snapshot: Any
    state: NDArray[np.float32]
    to_go: int
    cost: float


@dataclass(frozen=True)
class Fork:
    """A state, and what comes of different actions.

    Attributes:
        start: The state.
        actions: Candidates, ``float32 [S, H, A]``.
        ends: Where each of them leads.
    """

    start: Moment
    actions: NDArray[np.float32]
    ends: tuple[Moment, ...]


@dataclass(frozen=True)
class Trial:
    """One task.

    Attributes:
        seed: Of the episode, as in ``worldmodel plan``.
        path: Along the expert's solution, from the start to the first moment that it is solved.
        forks: Along noisy solutions.
    """

    seed: int
    path: tuple[Moment, ...]
    forks: tuple[Fork, ...]


def run_trial(
    env: Simulator,
    seed: int,
    *,
    forks: int,
    candidates: int,
    horizon: int,
    limit: int,
    bounds: Bounds,
    active_dims: Sequence[int] | None,
) -> Trial | None:
    """Solve a task, and try candidates on the way.

    None if the expert does not solve it, or if it is solved from the start.

    Args:
        env: The task.
        seed: Of the episode.
        forks: How many.
        candidates: S, of each fork: from the expert's own actions, by equal degrees, to noise.
        horizon: H, control steps.
        limit: Control steps after which the expert gives up.
        bounds: Of actions.
        active_dims: Action dimensions that candidates differ in; None for all.
    """
    env.reset(seed=SEED_OFFSET + seed)
    start = env.snapshot()
    path = _solution(env, limit)
    if path is None or len(path) == 1:
        return None
    rng = np.random.default_rng(seed)
    made: list[Fork] = []
    for _ in range(forks):
        env.restore(start)
        _stroll(env, rng, int(rng.integers(len(path) - 1)))
        here = _moment(env, limit)
        tried = _candidates(env, rng, candidates, horizon, bounds, active_dims)
        made.append(Fork(here, tried, tuple(_ends(env, here, tried, limit))))
    return Trial(seed, path, tuple(made))


def views(env: Simulator, moments: Sequence[Moment]) -> NDArray[np.uint8]:
    """The camera's images ``[n, h, w, 3]`` of moments, in the appearance that ``env`` wears."""
    images: list[Image] = []
    for moment in moments:
        env.restore(moment.snapshot)
        images.append(env.camera_image())
    return np.stack(images)


def steps_to_go(env: Simulator, limit: int) -> int:
    """Control steps that the expert needs from where the simulator is, which it is left at."""
    start, actions = env.snapshot(), _tireless(env)
    steps = 0
    while steps < limit and env.distance() > env.success_distance:
        env.advance(next(actions))
        steps += 1
    env.restore(start)
    return steps


def _tireless(env: Simulator) -> Iterator[NDArray[np.float64]]:
    """The expert's actions, who starts all over where a solution has failed."""
    rest = np.array(contract(cast(Environment, env)).actions.rest)
    while True:
        acted = False
        for action in env.script():
            if action is not None:
                acted = True
                yield np.asarray(action, np.float64)
        if not acted:
            yield rest


def _moment(env: Simulator, limit: int) -> Moment:
    state = env.proprioception().astype(np.float32)
    return Moment(env.snapshot(), state, steps_to_go(env, limit), env.task_cost())


def _solution(env: Simulator, limit: int) -> tuple[Moment, ...] | None:
    """The expert's way from where the simulator is, until the task is solved."""
    seen = [(env.snapshot(), env.proprioception(), env.task_cost())]
    actions = _tireless(env)
    while env.distance() > env.success_distance:
        if len(seen) > limit:
            return None
        env.advance(next(actions))
        seen.append((env.snapshot(), env.proprioception(), env.task_cost()))
    return tuple(
        Moment(snapshot, pose.astype(np.float32), len(seen) - step, cost)
        for step, (snapshot, pose, cost) in enumerate(seen, start=1)
    )


def _stroll(env: Simulator, rng: np.random.Generator, steps: int) -> None:
    """Follow the expert for some steps, with noise that the expert corrects."""
    actions, drift = _tireless(env), np.zeros(3)
    for _ in range(steps):
        action = next(actions).copy()
        drift = _PERSISTENCE * drift + _NOISE * rng.standard_normal(3)
        action[:3] += drift[: len(action)]
        env.advance(action)


def _candidates(
    env: Simulator,
    rng: np.random.Generator,
    count: int,
    horizon: int,
    bounds: Bounds,
    active_dims: Sequence[int] | None,
) -> NDArray[np.float32]:
    """Candidates ``[S, H, A]`` from where the simulator is, which it is left at."""
    start, actions = env.snapshot(), _tireless(env)
    low, high, _ = (end.numpy() for end in bounds)
    expert = np.zeros((horizon, len(high)))
    for step in range(horizon):
        expert[step] = next(actions)
        env.advance(expert[step])
    env.restore(start)

    noise = _SPREAD * rng.standard_normal((count, horizon, len(high)))
    for step in range(1, horizon):
        fresh = np.sqrt(1 - _PERSISTENCE**2) * noise[:, step]
        noise[:, step] = _PERSISTENCE * noise[:, step - 1] + fresh
    searched = bounds.only(active_dims)
    wild = (searched.high - searched.low).double().numpy() / 2
    share = np.linspace(0, 1, count)[:, None, None]
    mixed = (1 - share) * expert + share * noise * wild
    return np.clip(mixed, low, high).astype(np.float32)


def _ends(
    env: Simulator, start: Moment, actions: NDArray[np.float32], limit: int
) -> Iterator[Moment]:
    """Where candidates lead."""
    for candidate in actions.astype(np.float64):
        env.restore(start.snapshot)
        for action in candidate:
            env.advance(action)
        yield _moment(env, limit)
