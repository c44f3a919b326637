"""Plan time against size: every size is measured, and the fitted line is honest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worldmodel.cli.main import main
from worldmodel.studies.scaling import ScalingConfig, fit


@pytest.mark.slow
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
        (lambda: ScalingConfig(samples=(8,)), r"samples\n.* at least 2 items"),
        (lambda: ScalingConfig(plans=0), r"plans\n.* or equal to 1"),
        (lambda: ScalingConfig(rounds=0), r"rounds\n.* or equal to 1"),
    ],
)
def test_impossible_settings_are_refused(made, said) -> None:
    with pytest.raises(ValueError, match=said):
        made()
