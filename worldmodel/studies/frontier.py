"""Success against plan time, planner by planner.

Every point is an evaluation over the same episodes, whose report can be opened: once for success,
many episodes at a time, and once for times, one episode at a time. What is there is not run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from pydantic.dataclasses import dataclass

from worldmodel.devices import device_name, usable_device
from worldmodel.errors import UserError
from worldmodel.evaluation.intervals import percent
from worldmodel.files.atomic import write_json
from worldmodel.files.results import write_png
from worldmodel.settings import CHECKED, Batch, Count, Seed
from worldmodel.studies.plans import Machine, PlanSettings, final_success, planned

__all__ = ["POINTS", "FrontierConfig", "Point", "equals", "measure", "table", "write"]

_PLAIN: dict[str, Any] = {
    "name": "plain",
    "planner": "cem",
    "pursuit": {"prior": False, "warm_start": False, "search_std": 0.35},
    "dtype": "float32",
}
"""What a textbook would do: no prior, no warm start, white noise."""


@dataclass(frozen=True, config=CHECKED)
class Point:
    """A planner at a budget.

    Attributes:
        name: Of the series; its points are joined in the picture.
        planner: By name.
        pursuit: Other settings of the task, by name.
        settings: Other settings of the planner, by name.
        dtype: To imagine in; None for the study's.
    """

    name: str = ""
    planner: str = "icem"
    pursuit: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    dtype: str | None = None


def _point(
    name: str, planner: str, rescore: int = 0, dtype: str | None = None, **settings: Any
) -> Point:
    pursuit = {"rescore": rescore} if rescore else {}
    return Point(name=name, planner=planner, pursuit=pursuit, settings=settings, dtype=dtype)


POINTS = (
    Point(**_PLAIN, settings={"samples": 96, "iterations": 3, "correlation": 0.0}),
    Point(**_PLAIN, settings={"samples": 300, "iterations": 6, "correlation": 0.0}),
    _point("cem", "cem", samples=24, elites=4, iterations=1),
    _point("cem", "cem", samples=48, elites=6, iterations=2),
    _point("cem", "cem", samples=96, iterations=3),
    _point("cem, re-scored", "cem", rescore=12, samples=48, elites=6),
    _point("cem, re-scored", "cem", rescore=24, samples=96, iterations=3),
    _point("icem", "icem", samples=16, elites=4, iterations=1),
    _point("icem", "icem", samples=24, elites=4, iterations=2),
    _point("icem", "icem", samples=48, iterations=3),
    _point("icem, float32", "icem", dtype="float32", samples=48, iterations=3),
    _point("icem, re-scored", "icem", rescore=12, samples=48, iterations=3),
    _point("mppi", "mppi", samples=48, iterations=2),
    _point("shooting", "shooting", samples=48, iterations=2),
    _point("gradient", "gradient", samples=6, iterations=4, proposals=6),
    _point("cem_gradient", "cem_gradient"),
    _point("collocation", "collocation"),
    _point("hierarchical", "hierarchical"),
    _point("retrieval", "retrieval"),
)


@dataclass(frozen=True, config=CHECKED)
class FrontierConfig:
    """What to plan, and with what.

    Attributes:
        episodes: Planned for the success of every point, the same for all.
        batch: Of these at a time; a batch decides as its episodes would alone.
        timed: The first of them, planned again one at a time, when all is planned, for the times
            of plans. Leave the machine alone meanwhile.
        seed: Of the first.
        task: That all points plan; None for ``push``, or ``goal_image`` with ``env``.
        env: Environment, as `worldmodel.make_env` takes it; None for that of the task.
        success: As in ``worldmodel plan``.
        appearance: Of the environments.
        split: Of rich appearances.
        points: ``{name: …, planner: …, settings: {samples: …}}`` each; () for those of `POINTS`,
            most planners at several budgets.
    """

    episodes: Count = 200
    batch: Batch = 20
    timed: Count = 10
    seed: Seed = 0
    task: str | None = None
    env: str | None = None
    success: str | None = None
    appearance: str = "plain"
    split: str = "test"
    points: tuple[Point, ...] = ()

    def plan(self, point: Point) -> PlanSettings:
        """A point at the task of all."""
        return PlanSettings(
            self.task,
            point.planner,
            point.pursuit,
            point.settings,
            point.dtype,
            self.appearance,
            self.split,
            self.env,
            success=self.success,
        )


def measure(config: FrontierConfig, out: Path, machine: Machine) -> dict[str, Any]:
    """Plan what is missing of every point, and gather them.

    Args:
        config: The points.
        out: Folder of their reports.
        machine: What to plan with, and where.

    Raises:
        UserError: A point's settings are not those of its planner; nothing has run by then.
    """
    points = config.points or POINTS
    plans = [config.plan(point) for point in points]
    for number, plan in enumerate(plans):
        try:
            plan.resolved()
        except UserError as error:
            raise UserError(f"frontier.points[{number}]: {error}") from error
    plans[0].check()
    reports = [
        [planned(out, plan, machine, seed=config.seed, **sizes) for plan in plans]
        for sizes in (
            {"episodes": config.episodes, "batch": config.batch},
            {"episodes": config.timed},
        )
    ]
    split = [] if config.split == "test" else [config.split]
    return {
        "device": device_name(usable_device(machine.device)),
        "plan": " ".join([plans[0].environment, config.appearance, *split]),
        "seed": config.seed,
        "points": [
            {"name": point.name, "keys": plan.keys, **_figures(whole, timed)}
            for point, plan, whole, timed in zip(points, plans, *reports, strict=True)
        ],
    }


def _figures(planned: Mapping[str, Any], timed: Mapping[str, Any]) -> dict[str, Any]:
    final, times = final_success(planned), timed["plan_ms"]
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

    None where there is no such point, or none of that name, or where nobody judged.
    """
    points = [point for point in points if point["rate"] is not None]
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
        lines.append(
            f"{point['name']:<16}{point['p50_ms']:8.1f} ms  p99{point['p99_ms']:8.1f} ms   "
            f"{percent(point):>16}  n = {point['n']}   {point['keys']}"
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
    """``frontier.json`` and, where success was judged, ``frontier.png``."""
    write_json(out / "frontier.json", dict(report))
    if report["points"][0]["rate"] is not None:  # one environment, so one judge of all
        _draw(report, out / "frontier.png")
