"""Success against minutes of training: worlds trained by shares of the default steps, on pushes.

Usage: python benchmarks/minutes.py data/push runs/encoder

What is done is not done again, so that after a kill the same command goes on. Minutes are of
training alone: the data are embedded before the first share, and pretraining the encoder comes on
top; both are the same for all.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from worldmodel.dynamics.train import TrainConfig, VectorRecipe, run_training
from worldmodel.dynamics.vector.stages import VectorTraining
from worldmodel.files.atomic import replacing, write_json
from worldmodel.studies.plans import Machine, PlanSettings, planned
from worldmodel.studies.resumable import stage

SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4)
APPEARANCES = ("plain", "rich")
PLAN = PlanSettings(task="push", planner="cem", dtype="auto")
FOLDER = Path("runs/minutes")
RESULTS = Path(__file__).parent / "results" / "minutes.json"
PICTURE = Path(__file__).parents[1] / "docs/images/minutes.png"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every share, and write figures and picture anew after each of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", help="folder of a dataset of pushes")
    parser.add_argument("encoder", help="folder of a pretrained encoder")
    parser.add_argument("--cache", default="runs/cache", help="folder of the latent cache")
    given = parser.parse_args(arguments)
    train = TrainConfig(
        VectorRecipe(), given.data, encoder_checkpoint=given.encoder, cache=given.cache
    )
    embedded = FOLDER / "embedded"
    stage(embedded, partial(run_training, shortened(train, 0, embedded)))
    rows: list[dict[str, Any]] = []
    for share in SHARES:
        rows.append(measure(share, train))
        print(json.dumps(rows[-1]))
        write_json(RESULTS, {"data": given.data, "encoder": given.encoder, "rows": rows})
        draw(rows, PICTURE)


def measure(share: float, train: TrainConfig) -> dict[str, Any]:
    """Train by a share of the steps, and plan."""
    folder = FOLDER / f"{share:.4f}"
    world = folder / "world"
    minutes = stage(world, partial(run_training, shortened(train, share, world))).minutes
    success: dict[str, Any] = {}
    for appearance in APPEARANCES:
        plan = replace(PLAN, appearance=appearance)
        report = planned(folder, plan, Machine(str(world)), episodes=100, batch=20)
        success[appearance] = {"n": report["n"], **report["success"]["final"]}
    return {"share": share, "minutes": minutes, "success": success}  # minutes: None after a kill


def shortened(train: TrainConfig, share: float, out: Path) -> TrainConfig:
    """The same training into a folder, with a share of the steps of every stage."""
    training: VectorTraining = train.predictor.training
    stages = {
        f.name: replace(one, steps=round(share * one.steps))
        for f in fields(training)
        if f.name != "seed"
        for one in [getattr(training, f.name)]
    }
    recipe = replace(train.predictor, training=replace(training, **stages))
    return replace(train, predictor=recipe, out=str(out))


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
    main()
