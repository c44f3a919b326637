"""The tasks of the public benchmarks, and what others published on them.

Rules: the audit CLEAR-LeWM, specification 0.8. `worldmodel.envs.judged` has the two modes, each
environment its thresholds, and `worldmodel.evaluation.pairs` the pairs.

``suite=long`` and ``suite=manipulation`` have the suites' own goals instead, which need many steps:
two cubes to two places or one on the other, a cube into a drawer; and budgets of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from worldmodel.agents.environment import Environment
from worldmodel.envs import make_from_suite
from worldmodel.envs.action_repeat import ActionRepeat
from worldmodel.envs.judged import Judged
from worldmodel.errors import UserError, nearest
from worldmodel.evaluation.pairs import AHEAD, BUDGET
from worldmodel.spec import Look

__all__ = ["SUITES", "BenchmarkTask", "environments", "find_task"]


@dataclass(frozen=True)
class BenchmarkTask:
    """A task of a benchmark.

    Attributes:
        name: What the suite calls it.
        env: Its environment, as `worldmodel.make_env` takes it.
        packages: Distributions that decide how it behaves; their versions are reported.
        published: Success rates (%) that others report, by mode and by row.
        ahead: Steps of the simulation from start to goal in one episode; None for the suite's own
            goals.
        budget: Steps of the simulation in which to get there.
    """

    name: str
    env: str
    packages: tuple[str, ...] = ()
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ahead: int | None = AHEAD
    budget: int = BUDGET


def _audited(
    moderate: tuple[float, float], strict: tuple[float, float]
) -> Mapping[str, Mapping[str, float]]:
    """LeWM's released weights and random actions, as CLEAR-LeWM 0.8 measured them."""
    rows = ("lewm", "random")
    return {
        "moderate": dict(zip(rows, moderate, strict=True)),
        "strict": dict(zip(rows, strict, strict=True)),
    }


def _own(name: str, env: str, budget: int, *packages: str) -> BenchmarkTask:
    """A task whose goals are the suite's own."""
    return BenchmarkTask(name, env, packages, ahead=None, budget=budget)


_CUBE = ("ogbench", "dm-control")

SUITES: Mapping[str, Sequence[BenchmarkTask]] = {
    "public": (
        BenchmarkTask(
            "pusht", "push_t", ("gym-pusht", "pymunk"), _audited((86.7, 4.0), (70.7, 5.0))
        ),
        BenchmarkTask("cube", "ogbench:cube-single", _CUBE, _audited((50.3, 15.7), (21.7, 6.0))),
        BenchmarkTask("reacher", "reacher", ("dm-control",), _audited((79.7, 7.3), (87.0, 8.0))),
        BenchmarkTask("two_room", "two_room", (), _audited((83.0, 6.7), (51.3, 1.7))),
    ),
    "long": (
        _own("cube_double", "ogbench:cube-double", 500, *_CUBE),
        _own("scene", "ogbench:scene", 750, *_CUBE),
    ),
    "manipulation": (
        _own("fetch_push", "fetch:push", 100, "gymnasium-robotics"),
        _own("metaworld_reach", "metaworld:reach-v3", 150, "metaworld"),
        _own("metaworld_push", "metaworld:push-v3", 250, "metaworld"),
    ),
}
"""The tasks of each suite."""


def find_task(suite: str, env: str) -> BenchmarkTask:
    """A suite's task in an environment.

    Raises:
        UserError: There is no such suite, or it has no such task.
    """
    if suite not in SUITES:
        raise UserError(f"unknown suite '{suite}'; {nearest(suite, SUITES)}")
    for task in SUITES[suite]:
        if task.env == env:
            return task
    known = ", ".join(f"task={task.name}" for task in SUITES[suite])
    raise UserError(f"Expected a task of suite={suite} ({known}), got one in {env}")


@contextmanager
def environments(
    task: BenchmarkTask, mode: str, count: int, look: Look
) -> Iterator[list[Environment]]:
    """Independent environments of a task, judged by a mode, as a world sees them."""
    with ExitStack() as stack:
        made: list[Environment] = []
        for _ in range(count):
            judged = Judged(make_from_suite(task.env, look.image_size), mode)
            env = ActionRepeat(judged, look.repeat or 1, look.chunked)
            stack.callback(env.close)
            made.append(env)
        yield made
