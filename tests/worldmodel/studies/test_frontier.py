"""Success against plan time: every point over the same episodes, and none of them run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worldmodel.cli.main import main
from worldmodel.evaluation.intervals import wilson
from worldmodel.studies.frontier import POINTS, FrontierConfig, Point, equals, write


def point(name: str, rate: float, p50: float) -> dict[str, object]:
    interval = [max(0.0, rate - 0.05), min(1.0, rate + 0.05)]
    return {"name": name, "keys": "", "n": 200, "rate": rate, "ci95": interval, "p50_ms": p50}


@pytest.mark.parametrize("point", POINTS)
def test_every_point_can_be_planned(point: Point) -> None:
    task, planner = FrontierConfig().plan(point).resolved()
    assert task.name == "push"
    for name, value in point.settings.items():
        assert getattr(planner, name) == value


def test_points_say_what_differs_from_the_tasks_own_choice() -> None:
    plan = FrontierConfig(task="reach", appearance="rich").plan(POINTS[1])
    assert (plan.task, plan.appearance) == ("reach", "rich")
    assert plan.keys == (
        "cem prior=False warm_start=False search_std=0.35 samples=300 iterations=6 "
        "correlation=0.0 dtype=float32"
    )


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
        "frontier.points=[{name: one, planner: cem, pursuit: {budget_steps: 4}, "
        "settings: {samples: 8, elites: 3, proposals: 2, horizon: 4}},"
        "{name: two, planner: shooting, pursuit: {budget_steps: 4}, "
        "settings: {samples: 4, proposals: 2, horizon: 4}}]",
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


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("planner: shooting, settings: {smaples: 4}", "unknown key 'smaples'; did you mean 'samp"),
        ("planner: shooting, settings: {samples: x}", "samples: Value 'x' of type 'str' could not"),
        ("planner: cme", "unknown planner 'cme'; did you mean 'cem'?"),
        ("pursuit: {prior_nois: 1}", "unknown key 'prior_nois'; did you mean 'prior_noise'?"),
    ],
)
def test_a_point_with_a_wrong_key_is_found_before_any_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], point: str, said: str
) -> None:
    words = ["bench", "study=frontier", f"out={tmp_path}"]
    assert main([*words, f"frontier.points=[{{planner: cem}}, {{{point}}}]"]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "frontier.points[1]" in line
    assert said in line
    assert not list(tmp_path.iterdir())


def test_a_point_has_known_keys_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "study=frontier", f"out={tmp_path}"]
    assert main([*words, "frontier.points=[{planer: cem}]"]) == 1
    assert "unknown key 'planer'; did you mean 'planner'?" in capfd.readouterr().err


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


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: FrontierConfig(points=("planner=cem",)), r"points.0\n.* dictionary"),
        (lambda: FrontierConfig(episodes=0), r"episodes\n.* or equal to 1"),
        (lambda: FrontierConfig(timed=0), r"timed\n.* or equal to 1"),
    ],
)
def test_impossible_settings_are_refused(made, said) -> None:
    with pytest.raises(ValueError, match=said):
        made()
