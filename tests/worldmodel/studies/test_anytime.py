"""Plans under a deadline: energy of the same problems, success of whole episodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worldmodel.cli.main import main
from worldmodel.studies.anytime import AnytimeConfig

SMALL = "anytime.plan.settings={samples: 8, elites: 3, proposals: 2, horizon: 4, iterations: 2}"


def test_deadlines_cut_the_search_and_success_is_that_under_them(
    tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], clock: Any
) -> None:
    clock.reading = 1e-3
    words = ["bench", "study=anytime", f"out={tmp_path}", f"checkpoint={tiny_checkpoint}"]
    plan = ["anytime.plan.task=push", "anytime.plan.pursuit={budget_steps: 4}", SMALL]
    settings = ["anytime.episodes=2", "anytime.problems=2", "anytime.budgets_ms=[0.001,10000]"]
    assert main([*words, *plan, *settings]) == 0, capfd.readouterr().err
    tight, loose = json.loads((tmp_path / "anytime.json").read_text())["rows"]
    assert (tight["iterations"], tight["energy"]) == (0, None)
    assert (loose["iterations"], loose["n"]) == (2, 2)
    assert loose["energy"] is not None
    assert (tmp_path / "anytime.png").stat().st_size > 0
    assert "not searched" in capfd.readouterr().out


@pytest.mark.parametrize(
    "key", ["planner=cem", "plans=7", "samples=[24]", "tokens.depth=2", "compile=true", "seed=1"]
)
def test_keys_that_a_study_would_not_heed_are_refused(
    key: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "study=anytime", f"out={tmp_path}", key]) == 1
    name = key.split("=")[0].split(".")[0]
    assert f"Expected {name} with study=latency only" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: AnytimeConfig(budgets_ms=(0.0,)), r"budgets_ms.0\n.* greater than 0"),
        (lambda: AnytimeConfig(problems=0), r"problems\n.* or equal to 1"),
    ],
)
def test_impossible_settings_are_refused(made, said) -> None:
    with pytest.raises(ValueError, match=said):
        made()
