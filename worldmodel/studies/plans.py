"""Evaluations as parts of a study: each leaves its report, and is not run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from pydantic.dataclasses import dataclass

from worldmodel.agents.agent import PlanningAgent, make_agent
from worldmodel.agents.task import TaskConfig, planner_for, task_for
from worldmodel.evaluation.episodes import environments
from worldmodel.evaluation.evaluate import evaluate
from worldmodel.evaluation.goals import GOAL_SOURCES, require_source
from worldmodel.registry import user_function
from worldmodel.settings import CHECKED, Count, among
from worldmodel.spec import Look
from worldmodel.weights.checkpoint import checkpoint_sha256
from worldmodel.weights.world import checkpoint_folder, look_of

__all__ = ["Machine", "PlanSettings", "final_success", "planned"]


class Machine(NamedTuple):
    """What a study plans with, and where.

    Attributes:
        checkpoint: Folder of a world checkpoint, or ``default``.
        device: Such as ``cpu`` or ``cuda``.
        dtype: To imagine in.
        threads: Of a CPU; None for one.
    """

    checkpoint: str = "default"
    device: str = "cpu"
    dtype: str = "float32"
    threads: int | None = None


@dataclass(frozen=True, config=CHECKED)
class PlanSettings:
    """A planner at work on a task, as far as it is not the task's own choice.

    Attributes:
        task: By name; None for ``push``, or ``goal_image`` with ``env``.
        planner: By name.
        pursuit: Other settings of the task, by name.
        settings: Other settings of the planner, by name.
        dtype: To imagine in; None for the study's.
        appearance: Of the built-in environments.
        split: Of rich appearances.
        env: Environment, as `worldmodel.make_env` takes it; None for that of the task.
        goal_source: As in ``worldmodel plan``.
        goal_ahead: As in ``worldmodel plan``.
        success: As in ``worldmodel plan``.
    """

    task: str | None = None
    planner: str = "icem"
    pursuit: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    dtype: str | None = None
    appearance: str = "plain"
    split: str = "test"
    env: str | None = None
    goal_source: Annotated[str, among(*GOAL_SOURCES)] = "env"
    goal_ahead: Count = 5
    success: str | None = None

    @property
    def environment(self) -> str:
        """Name of the environment."""
        return self.env or self.task or "push"

    @property
    def keys(self) -> str:
        """Planner, and what differs from the task's own choice, in words."""
        given = {**self.pursuit, **self.settings} | ({"dtype": self.dtype} if self.dtype else {})
        return " ".join([self.planner, *(f"{name}={value}" for name, value in given.items())])

    def resolved(self) -> tuple[TaskConfig, Any]:
        """Task and planner.

        Raises:
            UserError: A name or a setting is unknown, or a value out of its bounds.
        """
        name = self.task or ("goal_image" if self.env else "push")
        task = task_for(name, self.planner, self.pursuit)
        planner = planner_for(self.planner, task, self.settings)
        return replace(task, name=self.env or task.name), planner

    def check(self) -> None:
        """Make the environment once and find the judge, before hours of training depend on them.

        Raises:
            UserError: There is no such environment or judge, or the environment lacks an appearance
                or what planning or the source of goals needs.
        """
        if self.success is not None:
            user_function(self.success, f"success={self.success}")
        with environments(self.environment, 1, Look(), self.appearance, self.split) as (env,):
            require_source(env, self.goal_source)

    def agent(self, env: Any, machine: Machine, budget_ms: float | None = None) -> PlanningAgent:
        """The agent on a machine."""
        task, planner = self.resolved()
        return make_agent(
            machine.checkpoint,
            env,
            task=task,
            planner=planner,
            budget_ms=budget_ms,
            device=machine.device,
            dtype=self.dtype or machine.dtype,
        )


def planned(
    out: Path,
    settings: PlanSettings,
    machine: Machine,
    *,
    episodes: int,
    seed: int = 0,
    batch: int = 1,
    budget_ms: float | None = None,
) -> Mapping[str, Any]:
    """The report of an evaluation, which runs unless it is there.

    Args:
        out: Its folder is below, named by all that it depends on.
        settings: What is planned.
        machine: With what, and where.
        episodes: How many.
        seed: Of the first.
        batch: Planned at once.
        budget_ms: That a plan may take.
    """
    folder = out / f"plan-{_digest(settings, machine, episodes, seed, batch, budget_ms)}"
    if (folder / "report.json").exists():
        stored: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return stored
    torch.set_num_threads(machine.threads or 1)
    look = (look_of(machine.checkpoint), settings.appearance, settings.split)
    with environments(settings.environment, min(batch, episodes), *look) as made:
        agent = settings.agent(made[0], machine, budget_ms)
        report = evaluate(
            agent,
            made,
            episodes=episodes,
            seed=seed,
            goal_source=settings.goal_source,
            goal_ahead=settings.goal_ahead,
            success=settings.success,
            out=folder,
        )
    print(report)
    return report.content


def final_success(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rate of success in the end and its interval, both None where nobody judged."""
    found: Mapping[str, Any] | None = report["success"]
    return {"rate": None, "ci95": None} if found is None else found["final"]


def _digest(settings: PlanSettings, machine: Machine, *sizes: float | None) -> str:
    weights = checkpoint_sha256(checkpoint_folder(machine.checkpoint))
    content = json.dumps([asdict(settings), machine, weights, sizes], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:8]
