"""Success against minutes of training: worlds trained by shares of the recipe's steps, on pushes.

Usage: python benchmarks/minutes.py data=data/tabletop encoder_checkpoint=runs/encoder

What is done is not done again, so after a kill the same command goes on. Minutes are of `train`
alone, with the data embedded before; pretraining the encoder and embedding come on top.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import fields
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from worldmodel.cli import main
from worldmodel.dynamics.compact import CompactTraining

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
SCENERIES = ("plain", "rich")
SIGHT = ("code", "arm")  # stages on all of the data; the others are on its plain part
FOLDER = Path("runs/minutes")
RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parents[1] / "docs/images/minutes.png"


def steps(share: float, sight: bool) -> list[str]:
    """Keys that give stages their share of the steps, and none to those of the other half."""
    training = CompactTraining()
    sizes = {field.name: getattr(training, field.name) for field in fields(training)}
    return [
        f"predictor.training.{name}.steps={round(share * stage.steps) * ((name in SIGHT) == sight)}"
        for name, stage in sizes.items()
        if name != "seed"
    ]


def run(command: str, out: Path, *keys: str) -> float:
    """Minutes of a command, which is run unless it has been."""
    mark = out.with_name(f"{out.name}.json")
    if not mark.exists():
        start = time.monotonic()
        if code := main([command, *keys, f"out={out}"]):
            sys.exit(code)
        mark.write_text(json.dumps((time.monotonic() - start) / 60))
    return json.loads(mark.read_text())


def measure(share: float, keys: list[str]) -> dict[str, object]:
    """Train by a share of the steps, and plan."""
    folder = FOLDER / f"{share:.4f}"
    data = [key for key in keys if not key.startswith("encoder_checkpoint=")]
    minutes = run("train", folder / "sight", *keys, *steps(share, sight=True))
    minutes += run(
        "train",
        folder / "world",
        *data,
        f"init={folder / 'sight'}",
        "tasks=[push,grasp,pick_and_place]",
        *steps(share, sight=False),
    )
    success = {}
    for scenery in SCENERIES:
        out, plan = folder / scenery, ["task=push", "planner=hierarchical", f"scenery={scenery}"]
        run("plan", out, *plan, "episodes=100", "videos=0", f"checkpoint={folder / 'world'}")
        report = json.loads((out / "report.json").read_text())
        success[scenery] = report["success"]["final"] | {"n": report["n"]}
    return {"share": share, "minutes": minutes, "success": success}


def draw(rows: list[dict]) -> None:
    """Success with its intervals, over minutes."""
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for scenery in SCENERIES:
        found = [row["success"][scenery] for row in rows]
        rates = [one["rate"] for one in found]
        bars = [
            [one["rate"] - one["ci95"][0] for one in found],
            [one["ci95"][1] - one["rate"] for one in found],
        ]
        minutes = [row["minutes"] for row in rows]
        axes.errorbar(minutes, rates, bars, marker="o", capsize=3, label=scenery)
    axes.set(xscale="log", ylim=(0, 1), xlabel="minutes of training", ylabel="success on push")
    axes.legend()
    figure.savefig(PICTURE, dpi=120)


if __name__ == "__main__":
    rows = []
    for share in SHARES:
        rows.append(measure(share, sys.argv[1:]))
        print(json.dumps(rows[-1]))
        (RESULTS / "minutes.json").write_text(json.dumps(rows, indent=2) + "\n")
    draw(rows)
