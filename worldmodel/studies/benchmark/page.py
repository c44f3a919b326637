"""What a benchmark found, as a table and as a page that needs no other file."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

import imageio.v3 as iio
import numpy as np
from matplotlib.figure import Figure

from worldmodel.evaluation.episodes import Episode
from worldmodel.evaluation.intervals import percent
from worldmodel.evaluation.report import picture
from worldmodel.studies.benchmark.rows import PLANNER

__all__ = ["page", "strip", "table"]

_HEAD: tuple[str, ...] = (
    "",
    "success",
    "n",
    "by seed",
    "planner better / worse",
    "plan p50",
    "published",
)


def table(report: Mapping[str, Any]) -> str:
    """A line per row: success with its interval, by seed, the paired test, plan time, published."""
    head = "{suite} {task} {mode}: {pairs} pairs of each of the seeds {seeds}".format(**report)
    cells = [_HEAD, *(_cells(report, name) for name in report["rows"])]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in cells]
    return "\n".join([head, *(line.rstrip() for line in lines)])


def _cells(report: Mapping[str, Any], name: str) -> tuple[str, ...]:
    row, paired = report["rows"][name], report["paired"].get(name)
    times, published = row["plan_ms"], report["published"].get(name)
    return (
        name,
        percent(row),
        str(row["n"]),
        " ".join(f"{100 * rate:.0f}" for rate in row["by_seed"].values()),
        "" if paired is None else "{planner_only} / {other_only}, p = {p:.2g}".format(**paired),
        "" if times is None else f"{times['p50']:.0f} ms",
        "" if published is None else f"{published:.1f}%",
    )


def page(report: Mapping[str, Any], strips: Sequence[Mapping[str, Any]]) -> str:
    """The same with a chart, and what `strip` made of the first episodes."""
    title = "{suite} {task}, {mode}".format(**report)
    rows = [_cells(report, name) for name in report["rows"]]
    return _PAGE.substitute(
        title=html.escape(title),
        pairs=f"{report['pairs']} pairs of each of the seeds {report['seeds']}",
        goals=_goals(report["protocol"]["ahead"]),
        budget=report["protocol"]["budget"],
        head=_line("th", _HEAD),
        rows="".join(_line("td", cells) for cells in rows),
        chart=picture(_chart(report)),
        strips="".join(_shown(entry) for entry in strips),
        versions=html.escape(", ".join(f"{k} {v}" for k, v in report["versions"].items())),
        settings=html.escape("\n".join(f"{k}: {v}" for k, v in report["protocol"].items())),
    )


def _goals(ahead: int | None) -> str:
    if ahead is None:
        return "Goals are the suite's own, drawn with seeds that nothing was trained on."
    return (
        f"A goal lies {ahead} simulation steps ahead of its start in one episode that nothing was "
        "trained on."
    )


def strip(episode: Episode) -> dict[str, Any]:
    """Start, goal and end of an episode side by side, as an image within a page."""
    seen = np.hstack([episode.start, episode.goal, episode.final])
    png = base64.b64encode(iio.imwrite("<bytes>", seen, extension=".png")).decode()
    return {"solved": episode.success, "png": png}


def _line(kind: str, cells: tuple[str, ...]) -> str:
    return "<tr>" + "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in cells) + "</tr>"


def _shown(entry: Mapping[str, Any]) -> str:
    told = "reached" if entry["solved"] else "not reached"
    image = f'<img src="data:image/png;base64,{entry["png"]}" alt="start, goal and end: {told}">'
    return f"<figure>{image}<figcaption>{told}</figcaption></figure>"


def _chart(report: Mapping[str, Any]) -> Figure:
    """Success of every row with its interval; what others published as a mark beside it."""
    rows = report["rows"]
    figure = Figure((6.5, 0.9 + 0.34 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    rates = np.array([row["rate"] for row in rows.values()])
    bounds = np.array([row["ci95"] for row in rows.values()]).T
    colors = ["tab:red" if name == PLANNER else "tab:gray" for name in rows]
    axes.barh(list(rows), rates, xerr=abs(bounds - rates), color=colors, capsize=3)
    known = {name: rate / 100 for name, rate in report["published"].items() if name in rows}
    if known:
        axes.plot(list(known.values()), list(known), "kD", markersize=5, label="published")
        axes.legend(frameon=False)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="success (95 % Wilson interval)")
    return figure


_PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto }
td, th { padding: .15rem .9rem .15rem 0; text-align: left }
.strips { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0 } figcaption { font-size: .8rem }
.strips img { height: 96px; image-rendering: pixelated } img { max-width: 100% }
pre { white-space: pre-wrap; background: #f5f5f5; padding: .8rem }
</style>
<h1>$title</h1>
<p>$pairs. $goals The policy acts for $budget simulation steps. Published figures are of other
data.</p>
<table>$head$rows</table>
<img src="$chart" alt="success of each row with its interval">
<h2>The planner's first pairs: start, goal, end</h2>
<div class="strips">$strips</div>
<h2>Settings</h2>
<p>$versions</p>
<pre>$settings</pre>
</html>
""")
