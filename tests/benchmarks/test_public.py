"""Public results are of the checkpoints kept beside them, by the benchmark's own rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worldmodel.evaluation.intervals import mcnemar, wilson
from worldmodel.studies.benchmark.rows import PEERS
from worldmodel.weights.checkpoint import checkpoint_sha256
from worldmodel.weights.world import read_world

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks/checkpoints"
RESULTS = sorted(ROOT.glob("benchmarks/results/public_*.json"))
WORLDS = sorted(path.parent for path in KEPT.glob("*/*/config.json"))


def _report(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def test_checkpoints_take_little_room() -> None:
    assert sum(path.stat().st_size for path in KEPT.rglob("*")) < 40e6


@pytest.mark.parametrize("folder", WORLDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_kept_checkpoint_is_a_world_of_held_actions(folder: Path) -> None:
    world = read_world(folder)
    assert world.spec is not None
    assert world.spec.repeat == 5


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_are_of_kept_checkpoints(path: Path) -> None:
    report = _report(path)
    assert report["seeds"] == [0, 1, 42]
    assert report["pairs"] == 100
    for row, told in report["checkpoint"].items():
        folder = KEPT / report["task"] / (PEERS[row].world if row in PEERS else "planner")
        assert told["sha256"] == checkpoint_sha256(folder), row


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_rates_intervals_and_comparisons_follow_from_outcomes(path: Path) -> None:
    report = _report(path)
    planner = report["rows"]["planner"]["outcomes"]
    assert {"planner", "prior", "random"} <= report["rows"].keys()
    for name, row in report["rows"].items():
        met = row["outcomes"]
        assert row["n"] == len(met) == 100 * len(row["seeds"])
        assert row["rate"] == pytest.approx(sum(met) / len(met))
        assert row["ci95"] == pytest.approx(wilson(sum(met), len(met)))
        if name in report["paired"] and len(met) == len(planner):
            gains = sum(ours and not theirs for ours, theirs in zip(planner, met, strict=True))
            losses = sum(theirs and not ours for ours, theirs in zip(planner, met, strict=True))
            both = report["paired"][name]
            assert (both["planner_only"], both["other_only"]) == (gains, losses)
            assert both["p"] == pytest.approx(mcnemar(gains, losses))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_page_tells_what_was_found(path: Path) -> None:
    page = (ROOT / "docs/benchmarks.md").read_text().partition("## Results")[2]
    for row in _report(path)["rows"].values():
        low, high = row["ci95"]
        assert f"{100 * row['rate']:.0f} [{100 * low:.0f}, {100 * high:.0f}]" in page


def test_the_page_tells_how_long_plans_take() -> None:
    page = (ROOT / "docs/benchmarks.md").read_text().partition("## Results")[2]
    rows = _report(ROOT / "benchmarks/results/times_two_room.json")["rows"]
    ours, theirs = (rows[name]["plan_ms"]["p50"] for name in ("planner", "lewm"))
    told = f"{ours:.0f} ms at the median, and LeWM's {theirs:.0f} ms: {theirs / ours:.0f} times"
    assert told in page
