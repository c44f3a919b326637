"""The page needs no other file, and every rate in it comes with its interval."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from worldmodel.evaluation.episodes import Episode
from worldmodel.evaluation.intervals import success_summary, wilson
from worldmodel.evaluation.report import (
    closing_table,
    episode_record,
    headline,
    nonfinite,
    plan_times,
    real_time_summary,
    strange,
    unsearched,
    write_html,
)
from worldmodel.planners import DeadlineStatistics

IMAGE = np.zeros((64, 64, 3), np.uint8)
SOLVED = Episode(
    seed=1_000_000,
    success=True,
    success_any=True,
    distance_start=0.1,
    distance_final=0.02,
    steps=4,
    energy=(2.0, 1.0),
    plan_steps=(0, 2),
    plan_ms=(10.0, 20.0),
    start=IMAGE,
    goal=IMAGE,
    final=IMAGE,
    frames=IMAGE[None],
)
FAILED = replace(SOLVED, seed=1_000_001, success=False, distance_final=0.2, frames=None)

BASELINES = {
    "random": {
        "n": 3,
        "success": success_summary([FAILED] * 3),
        "paired": {"planner_only": 14, "baseline_only": 4, "p": 0.0309},
        "plan_ms": None,
    },
    "prior": {
        "n": 100,
        "success": success_summary([SOLVED] * 100),
        "paired": {"planner_only": 0, "baseline_only": 20, "p": 2e-6},
        "plan_ms": None,
    },
    "true_cost": {
        "n": 2,
        "success": success_summary([SOLVED] * 2),
        "paired": {"planner_only": 0, "baseline_only": 1, "p": 1.0},
        "plan_ms": None,
        "probe_cm": 1.96,
    },
    "oracle": {"n": 0, "success": None, "paired": None, "plan_ms": None, "note": "slow today"},
}


def report_of(episodes, **entries):
    return {
        "task": "push",
        "n": len(episodes),
        "success": success_summary(episodes),
        "baselines": {},
        "plan_ms": plan_times(episodes),
        "unsearched": unsearched(episodes),
        "nonfinite": nonfinite(episodes),
        "strange": strange(episodes),
        "over_budget": None,
        "real_time": real_time_summary(episodes, 10.0),
        "planner": {"samples": 8},
        "checkpoint": {"name": "<default>"},
        "spec": {"unit": "m"},
        "protocol": {"budget_steps": 40},
        **entries,
    }


def test_the_page_needs_no_other_file(tmp_path):
    write_html(tmp_path / "r.html", report_of([SOLVED, FAILED]), [SOLVED, FAILED])
    page = (tmp_path / "r.html").read_text()
    sources = re.findall(r'src="([^"]*)"', page)
    assert len(sources) == 3 + 2  # charts, and a strip of images per episode
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|<script|<link", page)
    assert "&lt;default&gt;" in page


def test_the_page_links_the_videos_there_are(tmp_path):
    write_html(tmp_path / "r.html", report_of([SOLVED, FAILED]), [SOLVED, FAILED])
    page = (tmp_path / "r.html").read_text()
    assert re.findall(r'href="([^"]*)"', page) == ["videos/episode_000.mp4"]
    assert "✓ seed 1000000 10.0 cm → 2.0 cm" in page
    assert "✗ seed 1000001 10.0 cm → 20.0 cm" in page


@pytest.mark.parametrize(("unit", "told"), [("rad", "0.1 rad → 0.02 rad<"), ("", "0.1 → 0.02<")])
def test_distances_are_told_in_the_units_of_the_environment(tmp_path, unit, told):
    report = report_of([SOLVED], spec={"unit": unit})
    write_html(tmp_path / "r.html", report, [SOLVED])
    assert f"seed 1000000 {told}" in (tmp_path / "r.html").read_text()


def test_rates_come_with_n_and_interval_and_skipped_baselines_with_their_reason(tmp_path):
    report = report_of([SOLVED, FAILED], baselines=BASELINES)
    write_html(tmp_path / "r.html", report, [SOLVED, FAILED])
    page = (tmp_path / "r.html").read_text()
    low, high = wilson(1, 2)
    assert f"<td>planner</td><td>2</td><td>50% [{low:.0%}, {high:.0%}]</td>" in page
    assert "<td>random</td><td>3</td><td>0% [0%, 56%]</td>" in page
    assert "<td>better on 14, worse on 4, p = 0.031</td>" in page
    assert "slow today" in page


def test_the_closing_table_has_a_line_per_baseline():
    report = report_of([SOLVED, FAILED], baselines=BASELINES)
    assert closing_table(report).splitlines() == [
        headline(report),
        "  random                 0% [0%, 56%]      n = 3     "
        "planner better on 14, worse on 4, p = 0.031",
        "  prior                  100% [96%, 100%]  n = 100   "
        "planner better on 0, worse on 20, p < 0.001",
        "  true_cost              100% [34%, 100%]  n = 2     "
        "planner better on 0, worse on 1, p = 1; its probe errs by 2.0 cm",
        "  oracle                 skipped: slow today",
    ]


def test_a_users_goal_is_reported_without_success(tmp_path):
    unknown = replace(
        SOLVED, success=None, success_any=None, distance_start=None, distance_final=None
    )
    report = report_of([unknown])
    write_html(tmp_path / "r.html", report, [unknown])
    assert "success unknown: the goal is" in (tmp_path / "r.html").read_text()
    assert (
        headline(report)
        == "push: n = 1 · success unknown, for nobody judges · plan p50 15 ms, p99 20 ms"
    )
    assert episode_record(unknown)["success"] is None


def test_plan_times_are_quantiles_over_all_plans():
    times = plan_times([replace(SOLVED, plan_ms=tuple(range(1, 101)))])
    assert times == pytest.approx({"p50": 50.5, "p90": 90.1, "p99": 99.01, "max": 100})
    assert plan_times([replace(SOLVED, plan_ms=())]) is None


def test_slots_without_a_fresh_plan_are_reported_as_shares_of_all() -> None:
    one = replace(SOLVED, slots=DeadlineStatistics(total=30, missed=3, held=1), late=2)
    other = replace(SOLVED, slots=DeadlineStatistics(total=10), energy=(1.0, float("inf")))
    summary = real_time_summary([one, other], 20.0)
    assert summary == {
        "hz": 20.0,
        "slots": 40,
        "missed": 0.075,
        "held": 0.025,
        "late": 0.05,
    }
    told = headline(report_of([one, other]))
    assert "10 Hz: plan late in 7.50% of slots, arm held in 2.50%" in told
    assert "no time to search in 25% of plans" in told
    assert real_time_summary([SOLVED], None) is None


def test_candidates_and_proposals_that_are_not_finite_are_told_of_planner_and_baselines() -> None:
    told = "candidates or proposals not finite"
    assert told not in closing_table(report_of([SOLVED], baselines=BASELINES))
    baselines = {"no_prior": BASELINES["random"] | {"nonfinite": 7}}
    report = report_of([replace(SOLVED, nonfinite=5), FAILED], baselines=baselines)
    first, second = closing_table(report).splitlines()
    assert f"5 {told}" in first
    assert f"7 {told}" in second


def test_energies_of_plans_that_were_not_searched_for_are_left_out() -> None:
    assert episode_record(replace(SOLVED, energy=(1.0, float("inf"))))["energy"] == [1.0, None]


def test_images_unlike_the_training_data_are_told_of() -> None:
    told = "images unlike the training data in 50% of episodes"
    assert told in headline(report_of([replace(SOLVED, strangeness=1.5), FAILED]))
    assert told not in headline(report_of([replace(SOLVED, strangeness=0.9), FAILED]))
