"""The studies of ``worldmodel bench``: over the same episodes, and honest in what they fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worldmodel.cli.configuration import composed, load, typed
from worldmodel.cli.main import main
from worldmodel.evaluation.intervals import wilson
from worldmodel.studies.anytime import AnytimeConfig
from worldmodel.studies.frontier import POINTS, FrontierConfig, equals, write
from worldmodel.studies.scaling import ScalingConfig, fit

SMALL = (
    "task.budget_steps=4 planner.samples=8 planner.elites=3 planner.proposals=2 "
    "planner.horizon=4 planner.iterations=2"
)


def point(name: str, rate: float, p50: float) -> dict[str, object]:
    interval = [max(0.0, rate - 0.05), min(1.0, rate + 0.05)]
    return {"name": name, "keys": "", "n": 200, "rate": rate, "ci95": interval, "p50_ms": p50}


@pytest.mark.parametrize("words", POINTS)
def test_every_point_of_the_frontier_can_be_planned(words: str) -> None:
    load("plan")
    keys = words.split(": ", 1)[1].split()
    plan = typed(composed("plan", ["task=push", "out=x", *keys]))
    assert plan.dtype == ("float32" if "dtype=float32" in keys else "auto")


def test_a_frontier_is_gathered_from_reports_and_goes_on_where_it_was(
    tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [
        "bench",
        "study=frontier",
        f"out={tmp_path}",
        f"checkpoint={tiny_checkpoint}",
        "frontier.episodes=3",
        "frontier.timed=1",
        "frontier.plan='task=push task.budget_steps=4 planner.proposals=2 planner.horizon=4'",
        "frontier.points=['one: planner=cem planner.samples=8 planner.elites=3',"
        "'two: planner=shooting planner.samples=4']",
    ]
    assert main(words) == 0, capfd.readouterr().err
    report = json.loads((tmp_path / "frontier.json").read_text())
    assert [(p["name"], p["n"]) for p in report["points"]] == [("one", 3), ("two", 3)]
    assert [p["timed"] for p in report["points"]] == [1, 1]
    assert (tmp_path / "frontier.png").stat().st_size > 0
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*-*/report.json")}
    assert len(kept) == 4
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*-*/report.json")} == kept


def test_a_point_with_a_wrong_key_is_found_before_any_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "study=frontier", f"out={tmp_path}"]
    assert main([*words, "frontier.points=['one: planner=cem','two: planner.smaples=4']"]) == 1
    assert "planner.smaples" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_equal_success_is_that_whose_interval_reaches_the_best_of_plain() -> None:
    plain = [point("plain", 0.7, 50.0), point("plain", 0.9, 400.0)]
    found = equals(
        [*plain, point("icem", 0.7, 5.0), point("icem", 0.88, 20.0), point("cem", 1, 30)]
    )
    assert found is not None
    assert (found["name"], found["p50_ms"], found["times"]) == ("icem", 20.0, 20.0)
    assert equals([point("icem", 0.8, 5.0)]) is None


@pytest.mark.parametrize("solved", [0, 200])
def test_rates_at_the_ends_of_the_scale_can_be_drawn(tmp_path: Path, solved: int) -> None:
    ends = point("icem", solved / 200, 5.0) | {"ci95": list(wilson(solved, 200)), "p99_ms": 9.0}
    write({"device": "a", "plan": "b", "points": [ends]}, tmp_path)
    assert (tmp_path / "frontier.png").stat().st_size > 0


def test_deadlines_cut_the_search_and_success_is_that_under_them(
    tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], clock: Any
) -> None:
    clock.reading = 1e-3
    words = ["bench", "study=anytime", f"out={tmp_path}", f"checkpoint={tiny_checkpoint}"]
    plan = f"task=push {SMALL}"
    settings = ["anytime.episodes=2", "anytime.problems=2", "anytime.budgets_ms=[0.001,10000]"]
    assert main([*words, f"anytime.plan='{plan}'", *settings]) == 0, capfd.readouterr().err
    tight, loose = json.loads((tmp_path / "anytime.json").read_text())["rows"]
    assert (tight["iterations"], tight["energy"]) == (0, None)
    assert (loose["iterations"], loose["n"]) == (2, 2)
    assert loose["energy"] is not None
    assert (tmp_path / "anytime.png").stat().st_size > 0
    assert "not searched" in capfd.readouterr().out


def test_every_size_is_measured_and_a_line_fitted(
    tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "study=scaling", f"out={tmp_path}", f"checkpoint={tiny_checkpoint}"]
    sizes = (
        "scaling.samples=[8,32] scaling.horizon=[4,8] scaling.token_horizon=[1,2] "
        "scaling.tokens=[4,9] scaling.episodes=[1,2] scaling.plans=1 scaling.rounds=2 "
        "scaling.width=24 scaling.depth=1"
    )
    assert main([*words, *sizes.split()]) == 0, capfd.readouterr().err
    report = json.loads((tmp_path / "scaling.json").read_text())
    assert len(report["series"]) == 6
    for series in report["series"].values():
        assert [row["size"] for row in series["rows"]] == sorted(r["size"] for r in series["rows"])
        assert series["rows"][1]["gflop"] > series["rows"][0]["gflop"]
        assert {"r2", "slope"} < set(series)
    assert (tmp_path / "scaling.png").stat().st_size > 0


@pytest.mark.parametrize(
    "key", ["planner=cem", "plans=7", "samples=[24]", "tokens.depth=2", "compile=true", "seed=1"]
)
def test_keys_that_a_study_would_not_heed_are_refused(
    key: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "study=anytime", f"out={tmp_path}", key]) == 1
    name = key.split("=")[0].split(".")[0]
    assert f"Expected {name} with study=latency only" in capfd.readouterr().err


def test_a_horizon_that_does_not_fit_the_world_is_found_before_anything_is_measured(
    tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "study=scaling", f"out={tmp_path}", f"checkpoint={tiny_checkpoint}"]
    assert main([*words, "scaling.horizon=[4,7]"]) == 1
    assert "multiples of the world's stride 2, got 7" in capfd.readouterr().err


def test_time_in_proportion_to_operations_has_slope_one_and_a_constant_lowers_it() -> None:
    rows = [{"gflop": float(g), "ms": 3.0 * g} for g in (1, 2, 4)]
    assert fit(rows) == pytest.approx({"r2": 1.0, "slope": 1.0})
    shifted = [{**row, "ms": row["ms"] + 12.0} for row in rows]
    assert fit(shifted) == pytest.approx({"r2": 1.0, "slope": 0.5})


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: FrontierConfig(points=("planner=cem",)), "'NAME: keys of plan'"),
        (lambda: FrontierConfig(episodes=0), r"episodes\n.* or equal to 1"),
        (lambda: FrontierConfig(timed=0), r"timed\n.* or equal to 1"),
        (lambda: AnytimeConfig(budgets_ms=(0.0,)), r"budgets_ms.0\n.* greater than 0"),
        (lambda: AnytimeConfig(problems=0), r"problems\n.* or equal to 1"),
        (lambda: ScalingConfig(samples=(8,)), r"samples\n.* at least 2 items"),
        (lambda: ScalingConfig(plans=0), r"plans\n.* or equal to 1"),
        (lambda: ScalingConfig(rounds=0), r"rounds\n.* or equal to 1"),
    ],
)
def test_impossible_settings_are_refused(made, said) -> None:
    with pytest.raises(ValueError, match=said):
        made()
