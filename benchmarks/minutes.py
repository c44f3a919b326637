"""Success against minutes of training: worlds trained by shares of the default steps, on pushes.

Usage: python benchmarks/minutes.py data=data/push encoder_checkpoint=runs/encoder

Arguments are keys of ``worldmodel train``. What is done is not done again, so that after a kill the
same command goes on. Minutes are of training alone: the data are embedded before the first share,
and pretraining the encoder comes on top; both are the same for all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from worldmodel.cli.configuration import load
from worldmodel.dynamics.vector.stages import VectorTraining
from worldmodel.files.atomic import replacing, write_json
from worldmodel.studies.stages import stage

SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4)
APPEARANCES = ("plain", "rich")
PLANS = ["task=push", "planner=cem", "episodes=100", "batch=20", "videos=0"]
FOLDER = Path("runs/minutes")
RESULTS = Path(__file__).parent / "results" / "minutes.json"
PICTURE = Path(__file__).parents[1] / "docs/images/minutes.png"


def main(keys: Sequence[str]) -> None:
    """Measure every share, and write figures and picture anew after each of them."""
    for command in ("train", "plan"):
        load(command)
    stage("train", FOLDER / "embedded", [*keys, *steps(0)])
    rows: list[dict[str, Any]] = []
    for share in SHARES:
        rows.append(measure(share, keys))
        print(json.dumps(rows[-1]))
        write_json(RESULTS, {"train": list(keys), "rows": rows})
        draw(rows, PICTURE)


def measure(share: float, keys: Sequence[str]) -> dict[str, Any]:
    """Train by a share of the steps, and plan."""
    folder = FOLDER / f"{share:.4f}"
    minutes = stage("train", folder / "world", [*keys, *steps(share)])  # None after a kill
    success: dict[str, Any] = {}
    for appearance in APPEARANCES:
        words = [*PLANS, f"appearance={appearance}", f"checkpoint={folder / 'world'}"]
        stage("plan", folder / appearance, words)
        report = json.loads((folder / appearance / "report.json").read_text(encoding="utf-8"))
        success[appearance] = {"n": report["n"], **report["success"]["final"]}
    return {"share": share, "minutes": minutes, "success": success}


def steps(share: float) -> list[str]:
    """Keys that give every stage its share of the steps."""
    training = VectorTraining()
    stages = {f.name: getattr(training, f.name) for f in fields(training) if f.name != "seed"}
    return [
        f"predictor.training.{name}.steps={round(share * one.steps)}"
        for name, one in stages.items()
    ]


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Success with its intervals over minutes; rows whose minutes a kill hid are left out."""
    timed = [row for row in rows if row["minutes"] is not None]
    figure = Figure((6, 3.6), layout="constrained")
    axes = figure.subplots()
    minutes = [row["minutes"] for row in timed]
    for appearance in APPEARANCES:
        found = [row["success"][appearance] for row in timed]
        rates = [100 * one["rate"] for one in found]
        bars = [
            [abs(rate - 100 * one["ci95"][side]) for rate, one in zip(rates, found, strict=True)]
            for side in (0, 1)  # by rounding, an interval can end a little before its rate
        ]
        axes.errorbar(minutes, rates, yerr=bars, marker="o", capsize=3, label=appearance)
    axes.set(xscale="log", ylim=(-3, 103), xlabel="minutes of training")
    if hidden := len(rows) - len(timed):
        axes.set_title(f"{hidden} more trained for minutes that are not known", fontsize=9)
    axes.set_xticks(minutes, [f"{value:.3g}" for value in minutes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("success on push, % (n = 100, Wilson 95 %)")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


if __name__ == "__main__":
    main(sys.argv[1:])
