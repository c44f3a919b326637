"""``worldmodel bench study=frontier``: success against plan time, planner by planner.

Every point is ``worldmodel plan`` with a few keys of its own, over the same episodes, so that its
reports can be opened and its commands run again: once for success, many episodes at a time, and
once for times, one episode at a time. What is there is not run again.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from pydantic.dataclasses import dataclass

from worldmodel.cli.configuration import composed, load, typed
from worldmodel.devices import device_name, usable_device
from worldmodel.files.atomic import write_json
from worldmodel.files.results import write_png
from worldmodel.settings import CHECKED, Batch, Count, Seed
from worldmodel.studies.stages import digest, stage

__all__ = ["POINTS", "FrontierConfig", "equals", "frontier", "table", "write"]

# What a textbook would do: no prior, no warm start, white noise.
_PLAIN = "planner=cem task.prior=false task.warm_start=false planner.correlation=0 dtype=float32"
POINTS = (
    f"plain: {_PLAIN} task.search_std=0.35 planner.samples=96 planner.iterations=3",
    f"plain: {_PLAIN} task.search_std=0.35 planner.samples=300 planner.iterations=6",
    "cem: planner=cem planner.samples=24 planner.elites=4 planner.iterations=1",
    "cem: planner=cem planner.samples=48 planner.elites=6 planner.iterations=2",
    "cem: planner=cem planner.samples=96 planner.iterations=3",
    "cem, re-scored: planner=cem task.rescore=12 planner.samples=48 planner.elites=6",
    "cem, re-scored: planner=cem task.rescore=24 planner.samples=96 planner.iterations=3",
    "icem: planner=icem planner.samples=16 planner.elites=4 planner.iterations=1",
    "icem: planner=icem planner.samples=24 planner.elites=4 planner.iterations=2",
    "icem: planner=icem planner.samples=48 planner.iterations=3",
    "icem, float32: planner=icem planner.samples=48 planner.iterations=3 dtype=float32",
    "icem, re-scored: planner=icem task.rescore=12 planner.samples=48 planner.iterations=3",
    "mppi: planner=mppi planner.samples=48 planner.iterations=2",
    "shooting: planner=shooting planner.samples=48 planner.iterations=2",
    "gradient: planner=gradient planner.samples=6 planner.iterations=4 planner.proposals=6",
    "cem_gradient: planner=cem_gradient",
    "grasp: planner=collocation",
    "hierarchical: planner=hierarchical",
    "retrieval: planner=retrieval",
)
"""``NAME: keys of plan``; points of a name are joined."""


@dataclass(frozen=True, config=CHECKED)
class FrontierConfig:
    """What to plan, and with what.

    Attributes:
        episodes: Planned for the success of every point, the same for all.
        batch: Of these at a time; a batch decides as its episodes would alone.
        timed: The first of them, planned again one at a time, when all is planned, for the times
            of plans. Leave the machine alone meanwhile.
        seed: Of the first.
        plan: Keys of ``worldmodel plan`` for all points.
        points: ``NAME: keys of worldmodel plan`` each; those of a name are joined in the picture.
            () for those of `POINTS`, most planners at several budgets.
    """

    episodes: Count = 200
    batch: Batch = 20
    timed: Count = 10
    seed: Seed = 0
    plan: str = "task=push"
    points: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if wrong := [point for point in self.points if ": " not in point]:
            raise ValueError(f"Expected frontier.points as 'NAME: keys of plan', got '{wrong[0]}'")


def frontier(config: FrontierConfig, out: Path, machine: Sequence[str]) -> dict[str, Any]:
    """Plan what is missing of every point, and gather them.

    Args:
        config: The points.
        out: Folder of their reports.
        machine: Keys of ``plan`` that say where to run, and which checkpoint.

    Raises:
        UserError: A point's keys are not those of ``plan``; nothing has run by then.
    """
    load("plan")
    common = [*machine, *shlex.split(config.plan), f"seed={config.seed}", "videos=0"]
    points = [
        (*point.split(": ", 1), [*common, *_keys(point)]) for point in config.points or POINTS
    ]
    plans = [typed(composed("plan", [*words, f"out={out}"])) for _, _, words in points]
    reports: dict[str, list[dict[str, Any]]] = {}
    for purpose, size in (
        ("success", [f"episodes={config.episodes}", f"batch={config.batch}"]),
        ("times", [f"episodes={config.timed}", "batch=1"]),
    ):
        reports[purpose] = [
            _report(out, purpose, [*words, *size], plan.checkpoint)
            for (_, _, words), plan in zip(points, plans, strict=True)
        ]
    torch.set_num_threads(plans[0].threads)
    found = zip(points, reports["success"], reports["times"], strict=True)
    return {
        "device": device_name(usable_device(plans[0].device)),
        "plan": config.plan,
        "seed": config.seed,
        "points": [
            {"name": name, "keys": keys, **_figures(planned, timed)}
            for (name, keys, _), planned, timed in found
        ],
    }


def _keys(point: str) -> list[str]:
    return shlex.split(point.split(": ", 1)[1])


def _report(out: Path, purpose: str, words: Sequence[str], checkpoint: str) -> dict[str, Any]:
    folder = out / f"{purpose}-{digest(words, checkpoint)}"
    stage("plan", folder, words)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def _figures(planned: Mapping[str, Any], timed: Mapping[str, Any]) -> dict[str, Any]:
    final, times = planned["success"]["final"], timed["plan_ms"]
    return {
        "n": planned["n"],
        "rate": final["rate"],
        "ci95": final["ci95"],
        "p50_ms": times["p50"],
        "p99_ms": times["p99"],
        "timed": timed["n"],
        "outcomes": [episode["success"] for episode in planned["episodes"]],
    }


def equals(points: Sequence[Mapping[str, Any]], name: str = "plain") -> Mapping[str, Any] | None:
    """The fastest other point that by its interval may do as well as the best of a name, or better.

    None where there is no such point, or none of that name.
    """
    own = [point for point in points if point["name"] == name]
    if not own:
        return None
    best = max(own, key=lambda point: (point["rate"], -point["p50_ms"]))
    others = [p for p in points if p["name"] != name and p["ci95"][1] >= best["ci95"][0]]
    fastest = min(others, key=lambda point: float(point["p50_ms"]), default=None)
    return fastest and {**fastest, "of": best, "times": best["p50_ms"] / fastest["p50_ms"]}


def table(report: Mapping[str, Any]) -> str:
    """The points, fastest first."""
    lines = [f"{report['device']}; {report['plan']}"]
    for point in sorted(report["points"], key=lambda point: float(point["p50_ms"])):
        low, high = point["ci95"]
        lines.append(
            f"{point['name']:<16}{point['p50_ms']:8.1f} ms  p99{point['p99_ms']:8.1f} ms   "
            f"{point['rate']:4.0%} [{low:.0%}, {high:.0%}]  n = {point['n']}   {point['keys']}"
        )
    if equal := equals(report["points"]):
        lines.append(
            f"{equal['name']} ({equal['keys']}) does as well as the best of plain in a "
            f"{equal['times']:.1f}th of its time"
        )
    return "\n".join(lines)


def _draw(report: Mapping[str, Any], path: Path) -> None:
    """Success, with its interval, against plan time, as PNG."""
    figure = Figure((7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(point["name"] for point in report["points"]))
    for index, name in enumerate(names):
        points = [point for point in report["points"] if point["name"] == name]
        points.sort(key=lambda point: float(point["p50_ms"]))
        rates = [100 * point["rate"] for point in points]
        bars = [
            [abs(rate - 100 * p["ci95"][side]) for rate, p in zip(rates, points, strict=True)]
            for side in (0, 1)  # by rounding, an interval can end a little before its rate
        ]
        axes.errorbar(
            [point["p50_ms"] for point in points],
            rates,
            yerr=bars,
            marker="os^Dv"[index % 5],
            color=colormaps["tab20"](index % 20),
            markersize=5,
            capsize=2,
            linewidth=1,
            elinewidth=0.7,
            label=name,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("p50 of a plan, ms")
    axes.set_ylabel(f"success, % (n = {report['points'][0]['n']}, Wilson 95 %)")
    axes.set_title(f"{report['plan']}; {report['device']}", fontsize=9)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, ncols=2)
    write_png(path, figure)


def write(report: Mapping[str, Any], out: Path) -> None:
    """``frontier.json`` and ``frontier.png``."""
    write_json(out / "frontier.json", dict(report))
    _draw(report, out / "frontier.png")
