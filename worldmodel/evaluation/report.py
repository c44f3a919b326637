"""``report.json`` to compute with, ``report.html`` to look at, a closing table to read at once."""

from __future__ import annotations

import base64
import html
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

import imageio.v3 as iio
import numpy as np
from matplotlib.figure import Figure

from worldmodel.evaluation.episodes import Episode
from worldmodel.evaluation.intervals import Rate
from worldmodel.evaluation.video import video_name
from worldmodel.files.atomic import write_json, write_text
from worldmodel.files.results import Results

__all__ = [
    "Report",
    "episode_record",
    "headline",
    "nonfinite",
    "over_budget",
    "picture",
    "plan_times",
    "quantiles",
    "real_time_summary",
    "report_bytes",
    "strange",
    "unsearched",
]

SHOWN = 100  # episodes in the gallery
_PAGE_BYTES, _SHOWN_BYTES = 200_000, 60_000  # of report.html: charts, and pictures of an episode
_UNJUDGED = "success unknown: the goal is the user's image, or info has none; see success=…"
_EPISODE_BYTES, _STEP_BYTES = 1_000, 40  # of report.json


@dataclass(frozen=True)
class Report:
    """What an evaluation found; ``print`` shows its table.

    Attributes:
        content: All of it, as report.json has it.
        episodes: The agent's, with their images.
        folder: Where it was written while the episodes ran, if it was.
    """

    content: Mapping[str, Any]
    episodes: Sequence[Episode]
    folder: Path | None = None

    @property
    def success(self) -> Rate | None:
        """Share of solved episodes with its Wilson interval; None if nobody judged them."""
        found = self.content["success"]
        if found is None:
            return None
        low, high = found["final"]["ci95"]
        return Rate(found["final"]["rate"], low, high, self.content["n"])

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write report.json and report.html to a folder.

        Raises:
            UserError: It cannot be written.
        """
        bytes_ = report_bytes(len(self.episodes), self.content["budget_steps"])
        results = Results(Path(folder), bytes_)
        self.write(results)
        results.finish()
        return results.out

    def write(self, results: Results) -> None:
        """Write both into a folder that is in use."""
        results.release()
        results.write("report.json", partial(write_json, content=dict(self.content)))
        results.write(
            "report.html", partial(write_html, report=self.content, episodes=self.episodes)
        )

    def __str__(self) -> str:
        return closing_table(self.content)


def report_bytes(episodes: int, steps: int) -> int:
    """Bytes that report.json and report.html take, about."""
    page = _PAGE_BYTES + _SHOWN_BYTES * min(episodes, SHOWN)
    return page + episodes * (_EPISODE_BYTES + _STEP_BYTES * steps)


def plan_times(episodes: Sequence[Episode]) -> dict[str, float] | None:
    """Quantiles of the wall time of a plan (ms); None when nothing was planned."""
    return quantiles([ms for episode in episodes for ms in episode.plan_ms])


def quantiles(times: Sequence[float]) -> dict[str, float] | None:
    """Quantiles of times (ms); None of no times."""
    if not times:
        return None
    p50, p90, p99 = np.percentile(times, [50, 90, 99])
    return {"p50": float(p50), "p90": float(p90), "p99": float(p99), "max": max(times)}


def unsearched(episodes: Sequence[Episode]) -> float:
    """Share of plans that had no time for a single iteration, and kept what was planned before."""
    plans = [energy for episode in episodes for energy in episode.energy]
    return sum(not math.isfinite(energy) for energy in plans) / max(1, len(plans))


def nonfinite(episodes: Sequence[Episode]) -> int:
    """Candidates without a finite energy and proposals that were not finite, in all plans."""
    return sum(episode.nonfinite for episode in episodes)


def strange(episodes: Sequence[Episode]) -> float:
    """Share of episodes with an image unlike all that the world was trained on."""
    return sum(episode.strangeness > 1 for episode in episodes) / max(1, len(episodes))


def over_budget(episodes: Sequence[Episode], budget_ms: float | None) -> float | None:
    """Share of plans that took longer than they were to; None where there was no limit."""
    if budget_ms is None:
        return None
    times = [ms for episode in episodes for ms in episode.plan_ms]
    return sum(ms > budget_ms for ms in times) / max(1, len(times))


def real_time_summary(episodes: Sequence[Episode], hz: float | None) -> dict[str, Any] | None:
    """How often plans were not ready in time; None if the simulator waited for them.

    Shares of all slots: ``missed``, those whose plan was not ready, so that an older one had to do;
    ``held``, those of which no plan knew, so that the arm held still; ``late``, those that began
    late for what the simulator took.
    """
    slots = [episode.slots for episode in episodes if episode.slots is not None]
    if not slots:
        return None
    total = sum(slot.total for slot in slots)
    return {
        "hz": hz,
        "slots": total,
        "missed": sum(slot.missed for slot in slots) / total,
        "held": sum(slot.held for slot in slots) / total,
        "late": sum(episode.late for episode in episodes) / total,
    }


def episode_record(episode: Episode) -> dict[str, Any]:
    """An episode's entry in ``report.json``."""
    return {
        "seed": episode.seed,
        "success": episode.success,
        "success_any": episode.success_any,
        "distance_start": episode.distance_start,
        "distance_final": episode.distance_final,
        "steps": episode.steps,
        "energy": [energy if math.isfinite(energy) else None for energy in episode.energy],
    }


def write_html(path: Path, report: Mapping[str, Any], episodes: Sequence[Episode]) -> None:
    """Write one page that needs no other file; videos beside it are linked.

    Args:
        path: The page; it appears once complete.
        report: Content of ``report.json``.
        episodes: The planner's episodes, with their images.
    """
    task, n = report["task"], report["n"]
    unit = report["spec"]["unit"]
    page = _PAGE.substitute(
        title=html.escape(f"{task}: {n} episodes"),
        headline=html.escape(headline(report)),
        success=picture(_success_chart(report)),
        energy=picture(_energy_chart(episodes)),
        times=picture(_time_chart(episodes)),
        rows="".join(_row(name, entry) for name, entry in _policies(report).items()),
        gallery="".join(_figure(i, episode, unit) for i, episode in enumerate(episodes[:SHOWN])),
        shown=min(n, SHOWN),
        settings=html.escape(_settings(report)),
    )
    write_text(path, page)


def headline(report: Mapping[str, Any]) -> str:
    """Success and plan time in one line."""
    parts = [f"{report['task']}: n = {report['n']}"]
    if report["success"] is not None:
        parts.append(f"success {_rate(report['success']['final'])}")
    else:
        parts.append("success unknown, for nobody judges")
    if report["plan_ms"] is not None:
        parts.append("plan p50 {p50:.0f} ms, p99 {p99:.0f} ms".format(**report["plan_ms"]))
    if report["over_budget"]:
        parts.append(f"{report['over_budget']:.1%} of plans over their budget")
    if report["unsearched"]:
        parts.append(f"no time to search in {report['unsearched']:.0%} of plans")
    if report["nonfinite"]:
        parts.append(f"{report['nonfinite']} candidates or proposals not finite")
    if report["strange"]:
        share = f"{report['strange']:.0%}"
        parts.append(f"images unlike the training data in {share} of episodes; check the camera")
    if report["real_time"] is not None:
        told = "{hz:g} Hz: plan late in {missed:.2%} of slots, arm held in {held:.2%}"
        parts.append(told.format(**report["real_time"]))
    return " · ".join(parts)


def closing_table(report: Mapping[str, Any]) -> str:
    """The headline, and a line per baseline."""
    lines = [headline(report)]
    for name, entry in report["baselines"].items():
        if entry["success"] is None:
            lines.append(f"  {name:<22} skipped: {entry['note']}")
        else:
            rate, n = _rate(entry["success"]["final"]), entry["n"]
            lines.append(f"  {name:<22} {rate:<16}  n = {n:<3}   planner {_compared(entry)}")
    return "\n".join(lines)


def _compared(entry: Mapping[str, Any]) -> str:
    """How the planner fared against a baseline on the same episodes."""
    paired = entry["paired"]
    p = "p < 0.001" if paired["p"] < 0.001 else f"p = {paired['p']:.2g}"
    told = f"better on {paired['planner_only']}, worse on {paired['baseline_only']}, {p}"
    if "probe_cm" in entry:
        told += f"; its probe errs by {entry['probe_cm']:.1f} cm"
    if entry.get("nonfinite"):
        told += f"; {entry['nonfinite']} candidates or proposals not finite"
    return told


def _rate(entry: Mapping[str, Any]) -> str:
    low, high = entry["ci95"]
    return f"{entry['rate']:.0%} [{low:.0%}, {high:.0%}]"


def _policies(report: Mapping[str, Any]) -> dict[str, Any]:
    planner = {key: report[key] for key in ("n", "success", "plan_ms")}
    return {"planner": planner, **report["baselines"]}


def _row(name: str, entry: Mapping[str, Any]) -> str:
    if entry.get("success") is None:
        cells = [*[""] * 4, entry.get("note", _UNJUDGED)]
    else:
        times = entry["plan_ms"]
        cells = [
            str(entry["n"]),
            _rate(entry["success"]["final"]),
            _rate(entry["success"]["any"]),
            _compared(entry) if "paired" in entry else "",
            "" if times is None else f"{times['p50']:.0f} / {times['p99']:.0f}",
        ]
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in (name, *cells)) + "</tr>"


def _settings(report: Mapping[str, Any]) -> str:
    lines = [f"{key}: {report[key]}" for key in ("checkpoint", "protocol", "planner")]
    return "\n".join(lines)


def _success_chart(report: Mapping[str, Any]) -> Figure:
    judged = {k: v["success"]["final"] for k, v in _policies(report).items() if v.get("success")}
    figure = Figure((5.5, 0.8 + 0.32 * max(len(judged), 1)), layout="tight")
    axes = figure.add_subplot()
    rates = np.array([entry["rate"] for entry in judged.values()])
    bounds = np.array([entry["ci95"] for entry in judged.values()]).reshape(-1, 2).T
    colors = ["tab:red"] + ["tab:gray"] * len(judged)
    axes.barh(list(judged), rates, xerr=abs(bounds - rates), color=colors[: len(judged)], capsize=3)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("success (95 % Wilson interval)")
    return figure


def _energy_chart(episodes: Sequence[Episode]) -> Figure:
    figure = Figure((5.5, 3.2), layout="tight")
    axes = figure.add_subplot()
    styles = {
        True: ("solved", "tab:green"),
        False: ("not solved", "tab:red"),
        None: ("not judged", "tab:blue"),
    }
    for outcome, (label, color) in styles.items():
        chosen = [episode for episode in episodes if episode.success is outcome]
        for i, episode in enumerate(chosen):
            axes.plot(
                episode.plan_steps,
                episode.energy,
                color=color,
                alpha=0.35,
                linewidth=0.8,
                marker=".",  # seen also between plans without a search, whose energy is infinite
                markersize=3,
                label=label if i == 0 else None,
            )
    axes.set(xlabel="control step", ylabel="energy of the plan")
    if share := unsearched(episodes):
        axes.set_title(f"{share:.0%} of plans were not searched and have no energy", fontsize=9)
    axes.legend(frameon=False)
    return figure


def _time_chart(episodes: Sequence[Episode]) -> Figure:
    figure = Figure((5.5, 3.2), layout="tight")
    axes = figure.add_subplot()
    axes.hist([ms for episode in episodes for ms in episode.plan_ms], bins=40, color="tab:blue")
    axes.set(xlabel="plan time (ms)", ylabel="plans")
    return figure


def _figure(index: int, episode: Episode, unit: str) -> str:
    mark = {True: "✓", False: "✗", None: "·"}[episode.success]
    strip = np.hstack([episode.start, episode.goal, episode.final])
    way = ""
    if episode.distance_start is not None and episode.distance_final is not None:
        way = f" {_length(episode.distance_start, unit)} → {_length(episode.distance_final, unit)}"
    caption = f"{mark} seed {episode.seed}{way}"
    if episode.frames is not None:
        caption = f'<a href="videos/{video_name(index)}">{caption}</a>'
    image = iio.imwrite("<bytes>", strip, extension=".png")
    return f'<figure><img src="{_data_url(image)}"><figcaption>{caption}</figcaption></figure>'


def _length(distance: float, unit: str) -> str:
    """A distance for the eye; metres are told in cm."""
    return f"{100 * distance:.1f} cm" if unit == "m" else f"{distance:.3g} {unit}".rstrip()


def picture(figure: Figure) -> str:
    """A figure as the address of an image within a page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return _data_url(buffer.getvalue())


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


_PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>$title</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
.charts, .gallery { display: flex; flex-wrap: wrap; gap: 1rem; align-items: start }
td, th { padding: .15rem .9rem .15rem 0; text-align: left }
figure { margin: 0 } figcaption { font-size: .8rem }
.gallery img { height: 96px; image-rendering: pixelated }
pre { white-space: pre-wrap; background: #f5f5f5; padding: .8rem }
</style>
<h1>$headline</h1>
<table>
<tr><th></th><th>n</th><th>success</th><th>at any step</th>
<th>planner on the same episodes</th><th>plan p50 / p99 (ms)</th></tr>
$rows
</table>
<div class="charts">
<img src="$success" alt="success rates"><img src="$energy" alt="energies">
<img src="$times" alt="plan times">
</div>
<h2>Episodes: start, goal, final (first $shown)</h2>
<div class="gallery">$gallery</div>
<h2>Settings</h2>
<pre>$settings</pre>
</html>
""")
