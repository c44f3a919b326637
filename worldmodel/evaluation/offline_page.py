"""What `worldmodel evaluate` found, as a table and as a page."""

from __future__ import annotations

import html
from collections.abc import Mapping
from string import Template
from typing import Any

from matplotlib.figure import Figure

from worldmodel.evaluation.report import picture

__all__ = ["page", "table"]


def table(report: Mapping[str, Any]) -> str:
    """All figures for the eye."""
    n, loop = report["n"], report["open_loop"]
    lines = [
        f"{n['episodes']} {report['episodes'].replace('_', '-')} episodes, {n['frames']} frames",
        "open loop             latent error   of copying",
    ]
    for step, error, copy in zip(
        loop["control_steps"], loop["latent_error"], loop["copy_error"], strict=True
    ):
        lines.append(f"{step:4d} control steps {error:16.3f} {error / max(copy, 1e-12):12.2f}")
    if loop["object_cm"]:
        lines.append("objects, cm              imagined   copying   true latents")
        for k, step in enumerate(loop["control_steps"]):
            cells = (loop[key][k] for key in ("object_cm", "object_copy_cm", "object_true_cm"))
            lines.append("{:4d} control steps {:14.1f} {:9.1f} {:14.1f}".format(step, *cells))
    if "proprioception" in report:
        lines.append("proprioception, sd       imagined   held still")
        for step, error, held in zip(*report["proprioception"].values(), strict=True):
            lines.append(f"{step:4d} control steps {error:14.3f} {held:12.3f}")
    rank = report["action_rank"]
    low, high = rank["ci95"]
    lines.append(
        f"of {rank['candidates']} action sequences {rank['better_share']:.0%} "
        f"[{low:.0%}, {high:.0%}] have a lower energy than the recorded one "
        f"({rank['windows']} windows; chance 50%)"
    )
    for name, found in report.get("uncertainty", {}).items():
        lines.append(
            f"uncertainty {name:<14} Spearman {found['spearman']:+.2f} with the true error, "
            f"{found['beyond_q99']:.1%} of steps beyond its usual 99 %"
        )
    return "\n".join(lines)


def page(report: Mapping[str, Any]) -> str:
    """The same with charts, as HTML that needs no other file."""
    return _PAGE.substitute(
        title="Offline evaluation",
        errors=picture(_errors(report)),
        table=html.escape(table(report)),
        checkpoint=html.escape(str(report["checkpoint"])),
    )


def _errors(report: Mapping[str, Any]) -> Figure:
    """Errors over the steps ahead, each beside what doing nothing would err by."""
    panels = [("latents", "latent_error", "copy_error", "copying", report["open_loop"])]
    if "proprioception" in report:
        panels.append(
            ("proprioception, sd", "error", "held", "held still", report["proprioception"])
        )
    figure = Figure((4.4 * len(panels), 3.2), layout="constrained")
    for number, (title, own, trivial, name, found) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number)
        axes.plot(found["control_steps"], found[own], "o-", color="C0", label="imagined")
        axes.plot(found["control_steps"], found[trivial], "s--", color="0.5", label=name)
        axes.set(title=title, xlabel="control steps ahead", ylim=(0, None))
        axes.legend(frameon=False)
    return figure


_PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
img { max-width: 100% }
pre { overflow-x: auto; background: #f5f5f5; padding: .8rem }
</style>
<h1>$title</h1>
<img src="$errors" alt="errors of imagined latents and states over the steps ahead">
<pre>$table</pre>
<p>Checkpoint: $checkpoint</p>
</html>
""")
