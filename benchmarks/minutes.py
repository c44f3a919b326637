"""Success against minutes of training: worlds trained by shares of the recipe's steps, on pushes.

Usage: python benchmarks/minutes.py data=data/tabletop encoder_checkpoint=runs/encoder

Training is that of docs/recipe.md, in its two steps. What is done is not done again, so that after
a kill the same command goes on. Minutes are of ``worldmodel train`` with the data embedded before;
pretraining the encoder and embedding come on top, and are the same for all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from worldmodel.commands.configuration import load
from worldmodel.commands.stages import stage
from worldmodel.data.atomic import replacing, write_json
from worldmodel.dynamics.compact import CompactTraining

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
SCENERIES = ("plain", "rich")
READING = ("code", "arm")  # stages that learn from all of the data; the others from its plain part
FOLDER = Path("runs/minutes")
RESULTS = Path(__file__).parent / "results" / "minutes.json"
PICTURE = Path(__file__).parents[1] / "docs/images/minutes.png"


def main(keys: Sequence[str]) -> None:
    """Measure every share, and write figures and picture anew after each of them."""
    for command in ("train", "plan"):
        load(command)
    rows: list[dict[str, Any]] = []
    for share in SHARES:
        rows.append(measure(share, keys))
        print(json.dumps(rows[-1]))
        write_json(RESULTS, {"recipe": list(keys), "rows": rows})
        draw(rows, PICTURE)


def measure(share: float, keys: Sequence[str]) -> dict[str, Any]:
    """Train by a share of the steps, and plan."""
    folder = FOLDER / f"{share:.4f}"
    own = [key for key in keys if not key.startswith("encoder_checkpoint=")]
    own += [f"init={folder / 'sight'}", "tasks=[push,grasp,pick_and_place]"]
    minutes = [
        stage("train", folder / "sight", [*keys, *steps(share, reading=True)]),
        stage("train", folder / "world", [*own, *steps(share, reading=False)]),
    ]
    success: dict[str, Any] = {}
    for scenery in SCENERIES:
        words = ["task=push", "planner=hierarchical", f"scenery={scenery}", "episodes=100"]
        stage("plan", folder / scenery, [*words, "videos=0", f"checkpoint={folder / 'world'}"])
        report = json.loads((folder / scenery / "report.json").read_text(encoding="utf-8"))
        success[scenery] = {"n": report["n"], **report["success"]["final"]}
    known = [spent for spent in minutes if spent is not None]
    total = sum(known) if len(known) == len(minutes) else None  # a kill hides what a stage took
    return {"share": share, "minutes": total, "success": success}


def steps(share: float, *, reading: bool) -> list[str]:
    """Keys that give stages their share of the steps, and none to those of the other half."""
    training = CompactTraining()
    stages = {f.name: getattr(training, f.name) for f in fields(training) if f.name != "seed"}
    counts = {
        name: round(share * one.steps) if (name in READING) == reading else 0
        for name, one in stages.items()
    }
    return [f"predictor.training.{name}.steps={count}" for name, count in counts.items()]


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Success with its intervals over minutes; rows whose minutes a kill hid are left out."""
    timed = [row for row in rows if row["minutes"] is not None]
    figure = Figure((6, 3.6), layout="constrained")
    axes = figure.subplots()
    for scenery in SCENERIES:
        found = [row["success"][scenery] for row in timed]
        rates = [100 * one["rate"] for one in found]
        bars = [
            [abs(rate - 100 * one["ci95"][side]) for rate, one in zip(rates, found, strict=True)]
            for side in (0, 1)  # by rounding, an interval can end a little before its rate
        ]
        minutes = [row["minutes"] for row in timed]
        axes.errorbar(minutes, rates, yerr=bars, marker="o", capsize=3, label=scenery)
    axes.set(xscale="log", ylim=(0, 100), xlabel="minutes of training")
    axes.set_ylabel("success on push, % (n = 100, Wilson 95 %)")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


if __name__ == "__main__":
    main(sys.argv[1:])
