"""What plans are worth that have to be ready in time.

Energy is compared on the same problems, the first of every episode, so that nothing but the
deadline differs; success is that of whole episodes, each planned under the deadline.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from pydantic.dataclasses import dataclass

from worldmodel.agents.agent import PlanningAgent
from worldmodel.devices import device_name, usable_device
from worldmodel.evaluation.episodes import SEED_OFFSET, environments
from worldmodel.evaluation.intervals import percent
from worldmodel.files.atomic import write_json
from worldmodel.files.results import write_png
from worldmodel.planners import PlanRecord
from worldmodel.settings import CHECKED, AnyCount, Count, NonEmpty, Positive, Seed
from worldmodel.studies.plans import Machine, PlanSettings, final_success, planned
from worldmodel.weights.world import look_of

__all__ = ["AnytimeConfig", "measure", "table", "write"]


@dataclass(frozen=True, config=CHECKED)
class AnytimeConfig:
    """Which deadlines, and of what.

    Attributes:
        budgets_ms: Milliseconds that a plan may take.
        episodes: Planned under each of them; 0 to leave success out.
        problems: First plans of other episodes, whose energies are compared.
        seed: Of the first episode.
        plan: What is planned; more iterations than are needed, for a deadline to cut.
    """

    budgets_ms: NonEmpty[Positive] = (10.0, 15.0, 20.0, 30.0, 50.0, 80.0, 120.0)
    episodes: AnyCount = 100
    problems: Count = 20
    seed: Seed = 0
    plan: PlanSettings = field(
        default_factory=lambda: PlanSettings(planner="cem", settings={"iterations": 8})
    )


def measure(config: AnytimeConfig, out: Path, machine: Machine) -> dict[str, Any]:
    """Plan under every deadline.

    Args:
        config: The deadlines.
        out: Folder of the reports.
        machine: What to plan with, and where.

    Raises:
        UserError: A setting is unknown, or out of its bounds.
    """
    config.plan.check()
    torch.set_num_threads(machine.threads or 1)
    rows = _first_plans(config, machine)
    for row in rows:
        if config.episodes:
            report = planned(
                out,
                config.plan,
                machine,
                episodes=config.episodes,
                seed=config.seed,
                budget_ms=row["budget_ms"],
            )
            row |= {"n": report["n"], **final_success(report), "plan_ms": report["plan_ms"]}
    device = device_name(usable_device(machine.device))
    return {"device": device, "plan": f"{config.plan.environment} {config.plan.keys}", "rows": rows}


def _first_plans(config: AnytimeConfig, machine: Machine) -> list[dict[str, Any]]:
    """Of the first plans of some episodes, under each deadline: means, and the share that was late.

    The energy is None if one of them had no time to search.
    """
    plan = config.plan
    seeds = range(config.seed, config.seed + config.problems)
    look = (look_of(machine.checkpoint), plan.appearance, plan.split)
    with environments(plan.environment, 1, *look) as (env,):
        seen = [env.reset(seed=SEED_OFFSET + seed)[0] for seed in seeds]
        agent = plan.agent(env, machine)
    rows: list[dict[str, Any]] = []
    for budget in config.budgets_ms:
        limited = PlanningAgent(replace(agent.recipe, budget_ms=budget))
        records: list[PlanRecord] = []
        for observation in [seen[0], *seen]:  # the first plan of a process is not what plans cost
            limited.reset(observation["goal"])
            limited.act(observation)
            records.append(limited.records[-1])
        iterations = [record.plan.trace.shape[1] for record in records[1:]]
        energies = [float(record.plan.energy) for record in records[1:]]
        rows.append(
            {
                "budget_ms": budget,
                "energy": statistics.fmean(energies) if all(iterations) else None,
                "iterations": statistics.fmean(iterations),
                "late": statistics.fmean(record.total_ms > budget for record in records[1:]),
            }
        )
    return rows


def table(report: Mapping[str, Any]) -> str:
    """A line per deadline."""
    lines = [f"{report['device']}; {report['plan']}"]
    for row in report["rows"]:
        energy = "not searched" if row["energy"] is None else f"energy {row['energy']:.3f}"
        line = f"{row['budget_ms']:6.0f} ms  {row['iterations']:4.1f} iterations  {energy}"
        line += f"  {row['late']:.0%} of first plans late"
        if "rate" in row:
            line += f"  success {percent(row)}  n = {row['n']}"
            line += f"  p99 {row['plan_ms']['p99']:.0f} ms"
        lines.append(line)
    return "\n".join(lines)


def write(report: Mapping[str, Any], out: Path) -> None:
    """``anytime.json`` and ``anytime.png``."""
    write_json(out / "anytime.json", dict(report))
    rows: Sequence[Mapping[str, Any]] = report["rows"]
    judged = [row for row in rows if row.get("rate") is not None]
    figure = Figure((9 if judged else 5, 3.6), layout="constrained")
    panels = figure.subplots(1, 2 if judged else 1, squeeze=False)[0]
    known = [row for row in rows if row["energy"] is not None]
    panels[0].plot([r["budget_ms"] for r in known], [r["energy"] for r in known], "o-")
    unknown = [r["budget_ms"] for r in rows if r["energy"] is None]
    if unknown:  # at the bottom, wherever the energies are
        bottom = panels[0].get_xaxis_transform()
        style = {"color": "0.4", "clip_on": False, "label": "not searched in time"}
        panels[0].plot(unknown, [0.0] * len(unknown), "x", transform=bottom, **style)
        panels[0].legend(fontsize=8)
    panels[0].set_ylabel("energy of the plan, mean of the same problems")
    if judged:
        rates = [100 * row["rate"] for row in judged]
        bars = [
            [abs(r - 100 * row["ci95"][side]) for r, row in zip(rates, judged, strict=True)]
            for side in (0, 1)  # by rounding, an interval can end a little before its rate
        ]
        panels[1].errorbar(
            [row["budget_ms"] for row in judged], rates, yerr=bars, marker="o", capsize=2
        )
        panels[1].set_ylabel(f"success, % (n = {judged[0]['n']}, Wilson 95 %)")
    budgets = [row["budget_ms"] for row in report["rows"]]
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlim(min(budgets) / 1.15, max(budgets) * 1.15)
        axes.set_xticks(budgets, [f"{budget:g}" for budget in budgets])
        axes.minorticks_off()
        axes.set_xlabel("deadline of a plan, ms")
        axes.grid(alpha=0.3)
    figure.suptitle(f"{report['plan']}; {report['device']}", fontsize=9)
    write_png(out / "anytime.png", figure)
