"""A table of a study: means over seeds, success pooled over them and paired with `random`."""

from __future__ import annotations

from typing import Any

import pytest

from worldmodel.evaluation.intervals import wilson
from worldmodel.studies.encoders_table import summary, table


def record(arm: str, seed: int, outcomes: str, **changes: Any) -> dict[str, Any]:
    return {
        "arm": arm,
        "seed": seed,
        "episodes": None,
        "probe": {"rank": 10.0 + seed, "probe_object_cm": 2.0},
        "open_loop": {
            "control_steps": [2, 4],
            "latent_error": [0.1, 0.3],
            "copy_error": [0.2, 0.6],
            "object_cm": [1.0, 3.0 + seed],
            "object_copy_cm": [4.0, 6.0],
            "object_true_cm": [1.0, 1.0],
        },
        "success": {"plain": {"outcomes": [letter == "1" for letter in outcomes]}},
        "minutes": {"pretrain": 2.0, "plain": None},
        **changes,
    }


def test_figures_are_means_over_seeds_at_the_last_imagined_step() -> None:
    (row,) = summary([record("vjepa", 2, "10"), record("vjepa", 0, "11")])
    assert row["seeds"] == [0, 2]
    assert row["probe"] == {"rank": 11.0, "probe_object_cm": 2.0}
    assert row["open_loop"]["of_copying"] == pytest.approx(0.5)
    assert row["open_loop"]["object_cm"] == 4.0
    assert row["minutes"] == {"pretrain": 2.0, "plain": None}


def test_success_is_pooled_over_seeds_with_its_interval() -> None:
    (row,) = summary([record("vjepa", 0, "1101"), record("vjepa", 1, "1000")])
    success = row["success"]["plain"]
    assert (success["n"], success["rate"]) == (8, 0.5)
    assert success["ci95"] == list(wilson(4, 8))


def test_an_arm_is_compared_with_the_random_encoder_task_by_task_where_both_ran() -> None:
    rows = summary(
        [record("random", 0, "1000"), record("vjepa", 0, "1110"), record("vjepa", 1, "1111")]
    )
    paired = rows[1]["success"]["plain"]["over_random"]
    assert paired == {"n": 4, "better": 2, "worse": 0, "p": 0.5}


def test_scarce_data_has_rows_and_comparisons_of_its_own() -> None:
    rows = summary(
        [
            record("random", 0, "00"),
            record("vjepa", 0, "11"),
            record("vjepa", 0, "10", episodes=5),
        ]
    )
    assert [(row["arm"], row["episodes"]) for row in rows] == [
        ("random", None),
        ("vjepa", None),
        ("vjepa", 5),
    ]
    assert rows[2]["success"]["plain"]["over_random"]["n"] == 0


def test_the_table_has_a_line_for_each_row_and_a_dash_for_what_is_unknown() -> None:
    unknown = {**record("pixels", 0, "01"), "probe": {"rank": 9.0}}
    unknown["open_loop"] = {**unknown["open_loop"], "object_cm": []}
    head, pixels, random, title, comparison = table(
        summary([unknown, record("random", 0, "00")])
    ).splitlines()
    assert head.split()[0] == "arm"
    assert pixels.split()[:6] == ["pixels", "all", "1", "9.0", "–", "–"]
    assert "50% [9%, 91%]" in pixels
    assert random.split()[-1] == "2"
    assert "same tasks" in title
    assert comparison == "  pixels (all), plain: better on 1, worse on 0 of 2, p = 1"


def test_nothing_recorded_is_a_table_without_rows() -> None:
    assert table(summary([])).startswith("arm")
