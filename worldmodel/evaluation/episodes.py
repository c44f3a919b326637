"""The evaluation protocol: unseen tasks, a fixed step budget, success judged by the environment.

Success and distance are read from the simulator here, and nowhere else; a policy is given images,
proprioception and goal images.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from worldmodel.agents.environment import Environment, contract, make_env
from worldmodel.agents.policies import Policy
from worldmodel.agents.task import TaskConfig
from worldmodel.agents.views import Image, Views
from worldmodel.errors import UserError
from worldmodel.evaluation.goals import Begin, Judge, own_goal
from worldmodel.planners import DeadlineStatistics, RateTimer, RealTimeAgent
from worldmodel.spec import Look

__all__ = [
    "SEED_OFFSET",
    "Episode",
    "Rules",
    "environments",
    "run_episodes",
]

AnyT = TypeVar("AnyT")

SEED_OFFSET = 1_000_000
"""Added to evaluation seeds, so that no task was seen in data collected with seeds from 0 on."""


@dataclass(frozen=True)
class Episode:
    """What one episode came to.

    Attributes:
        seed: What the environment was reset with.
        success: Whether the task is solved when it is judged; None where nobody knows.
        success_any: Whether it was solved at any step.
        distance_start: From the goal at the start, in the environment's unit.
        distance_final: From the goal in the end.
        steps: Control steps acted in.
        energy: Energy of the best sequence of every plan.
        plan_steps: The control steps at which these plans were made.
        plan_ms: Wall time of these plans, from images in to actions out.
        start: Camera image at the start, ``uint8 [h, w, 3]``.
        goal: Goal image.
        final: Camera image in the end.
        frames: All camera images ``[steps, h, w, 3]``, if they were asked for.
        slots: How its slots went, if the arm did not wait for plans.
        late: Control steps that began late, for what the simulator took.
        nonfinite: Candidates and proposals that were not finite in all plans of the episodes that
            ran beside each other; told with the first of them.
        strangeness: Of its strangest image, the goal included; more than 1 is unlike all that the
            world was trained on.
    """

    seed: int
    success: bool | None
    success_any: bool | None
    distance_start: float | None
    distance_final: float | None
    steps: int
    energy: tuple[float, ...]
    plan_steps: tuple[int, ...]
    plan_ms: tuple[float, ...]
    start: Image
    goal: Image
    final: Image
    frames: Image | None = None
    slots: DeadlineStatistics | None = None
    late: int = 0
    nonfinite: int = 0
    strangeness: float = 0.0


@contextmanager
def environments(
    name: str,
    count: int,
    look: Look,
    appearance: str = "plain",
    split: str = "test",
) -> Iterator[list[Environment]]:
    """Independent environments of one name (`make_env`), closed at the end."""
    with ExitStack() as stack:
        made: list[Environment] = []
        for _ in range(count):
            env = make_env(name, **look._asdict(), appearance=appearance, split=split)
            stack.callback(env.close)
            made.append(env)
        yield made


def run_episodes(
    policy: Policy,
    environments: Sequence[Environment],
    seeds: Sequence[int],
    task: TaskConfig,
    *,
    search_seed: int = 0,
    goals: torch.Tensor | None = None,
    rules: Rules | None = None,
    keep_frames: int = 0,
    timer: RateTimer | None = None,
) -> Iterator[Episode]:
    """Run one episode per seed, as many at a time as there are environments.

    Args:
        policy: Decides, from observations alone.
        environments: Reset with ``SEED_OFFSET`` plus a seed each.
        seeds: One per episode.
        task: Budget, and whether sub-goal images are used.
        search_seed: Seed of the policy, the same for every batch, so that the batch size does not
            change what a planner decides.
        goals: A user's goal images ``[G, h, w, 3]``, sub-goals first, in place of the task's;
            success is then unknown.
        rules: Where goals come from, who judges, and what the policy sees; None for the
            environment's own.
        keep_frames: Episodes, from the first on, whose camera images are kept.
        timer: When control steps begin; None: as soon as the policy has decided.

    Yields:
        Episodes in the order of ``seeds``.
    """
    for first in range(0, len(seeds), len(environments)):
        batch = [SEED_OFFSET + seed for seed in seeds[first : first + len(environments)]]
        runs = [
            _Run(env, seed, goals, rules or Rules())
            for env, seed in zip(environments, batch, strict=False)
        ]  # the last batch may be smaller
        pursued = torch.stack([run.goals(bool(task.stage_steps)) for run in runs])
        if first == 0:
            # A process' first plan allocates and compiles; it is not what a plan costs.
            policy.reset(pursued, seed=search_seed)
            first_plan = policy.prepare if isinstance(policy, RealTimeAgent) else policy.act
            first_plan(*_observed(runs))
        policy.reset(pursued, seed=search_seed)
        if isinstance(policy, RealTimeAgent):
            policy.prepare(*_observed(runs))
        late = 0
        for behind in _ticks(timer, task.budget_steps):
            late += behind
            for run, action in zip(runs, policy.act(*_observed(runs)).numpy(), strict=True):
                run.step(action)
        for _ in range(task.hold_steps):
            for run in runs:
                run.rest()
        for index, run in enumerate(runs):
            frames = first + index < keep_frames
            yield run.episode(policy, index, task, judged=goals is None, frames=frames, late=late)


def _ticks(timer: RateTimer | None, count: int) -> Iterable[bool]:
    """Whether each control step begins late."""
    return itertools.repeat(False, count) if timer is None else timer.ticks(count)


@dataclass(frozen=True)
class Rules:
    """By which rules episodes begin, are seen and are judged.

    Attributes:
        begin: Resets an environment to a start and a goal.
        judge: Says of an environment and its ``info`` whether the goal is reached; None for what
            ``info`` says.
        views: How images become those that the policy reads; None for images that are.
    """

    begin: Begin = own_goal
    judge: Judge | None = None
    views: Views | None = None


class _Run:
    """One episode in the making."""

    def __init__(
        self,
        env: Environment,
        seed: int,
        goals: torch.Tensor | None,
        rules: Rules,
    ) -> None:
        spec = contract(env)
        self._env, self._seed, self._judge = env, seed, rules.judge
        self._views = rules.views or Views.of(spec, spec.cameras[0].height)
        self._rest = np.array(spec.actions.rest, np.float32)
        self.observation, info = rules.begin(env, seed)
        if goals is not None:
            self._goal, self._staged = goals[-1], goals
        else:
            self._goal = self._views.joined(self.observation["goal"], "goal")
            self._staged = self._goal[None]
            if "subgoals" in info and rules.begin is own_goal:
                self._staged = self._views.joined(info["subgoals"], "subgoals")
        self.frames = [self._views.seen(self.observation)]
        self._distances = [_known(info, "distance")]
        self._solved: list[bool] = []
        self._over = False

    def goals(self, staged: bool) -> torch.Tensor:
        return self._staged if staged else self._goal

    def step(self, action: NDArray[np.float32]) -> None:
        if not self._over:  # an environment that has ended stays as it is
            stepped = _asked("the environment's step", self._env.step, action)
            self.observation, _, terminated, truncated, info = stepped
            self._over = terminated or truncated
            self._distances.append(_known(info, "distance"))
            if self._judge is not None:
                self._solved.append(bool(_asked("success=…", self._judge, self._env, info)))
            elif "success" in info:
                self._solved.append(bool(info["success"]))
        self.frames.append(self._views.seen(self.observation))

    def rest(self) -> None:
        self.step(self._rest)

    def episode(
        self, policy: Policy, index: int, task: TaskConfig, *, judged: bool, frames: bool, late: int
    ) -> Episode:
        records, judged = policy.records, judged and bool(self._solved)
        solved = any if task.judged == "first_hit" else _last
        return Episode(
            seed=self._seed,
            success=solved(self._solved) if judged else None,
            success_any=any(self._solved) if judged else None,
            distance_start=self._distances[0] if judged else None,
            distance_final=self._distances[-1] if judged else None,
            steps=task.budget_steps,
            energy=tuple(float(record.plan.energy[index]) for record in records),
            plan_steps=tuple(record.step for record in records),
            plan_ms=tuple(record.total_ms for record in records),
            start=self.frames[0].numpy(),
            goal=self._goal.numpy(),
            final=self.frames[-1].numpy(),
            frames=torch.stack(self.frames).numpy() if frames else None,
            slots=policy.slots if isinstance(policy, RealTimeAgent) else None,
            late=late,
            strangeness=max((r.strangeness[index] for r in records if r.strangeness), default=0.0),
            nonfinite=sum(r.plan.nonfinite for r in records) if index == 0 else 0,
        )


def _observed(runs: Sequence[_Run]) -> tuple[torch.Tensor, torch.Tensor]:
    """Images ``[B, h, w, 3]`` and states ``[B, P]``: all that a policy gets to see."""
    nothing = np.zeros(0, np.float32)
    states = np.stack([run.observation.get("state", nothing) for run in runs])
    if not np.isfinite(states).all():
        places = sorted({int(place) for place in np.argwhere(~np.isfinite(states))[:, 1]})
        raise UserError(
            f"Expected finite states of the environment, got NaN or infinity in numbers {places}"
        )
    return torch.stack([run.frames[-1] for run in runs]), torch.from_numpy(states).float()


def _asked(what: str, function: Callable[..., AnyT], *arguments: Any) -> AnyT:
    """What a user's code answers.

    Raises:
        UserError: It raised; the error names it.
    """
    try:
        return function(*arguments)
    except UserError:
        raise
    except Exception as error:  # a user's function raises what it likes
        raise UserError(f"{what} failed: {type(error).__name__}: {error}") from error


def _last(solved: Sequence[bool]) -> bool:
    return solved[-1]


def _known(info: Mapping[str, Any], name: str) -> float | None:
    return float(info[name]) if name in info else None
