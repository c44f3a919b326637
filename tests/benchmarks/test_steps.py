"""The script that tells what each speed-up brings compares what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from worldmodel.latency.harness import Ceiling


@pytest.fixture
def script(script_named: Callable[[str], ModuleType]) -> ModuleType:
    return script_named("steps")


def test_what_is_predicted_is_the_ratio_of_operations_or_of_rates(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {torch.float32: 100.0, torch.bfloat16: 350.0}
    monkeypatch.setattr(script, "matmul_ceiling", lambda _, dtype: Ceiling(rates[dtype], 1.0))
    rescored, half, fewer, batch = script.vector_steps()
    assert script.compare(rescored, 1, 1)["predicted"] > 1.2
    found = script.compare(fewer, 1, 1)
    assert found["predicted"] == pytest.approx(3 * 96 / (48 + 34 + 24), rel=0.2)
    assert found["came"] == pytest.approx(found["ms"][0] / found["ms"][1])
    assert half.predicted == 3.5
    found = script.compare(batch, 1, 1)
    assert found["predicted"] == pytest.approx(1, rel=0.1)
    assert found["came"] == pytest.approx(16 * found["ms"][0] / found["ms"][1])


def test_the_rows_are_printed_and_kept(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "RESULTS", tmp_path / "steps.json")
    monkeypatch.setattr(script, "token_steps", list)
    monkeypatch.setattr(script, "vector_steps", lambda: [same, replace(same, predicted=0.01)])
    work = script.Plans(script._work(script.load_vector_world("default")), script.cem())
    same = script.Step("same", work, work)
    script.main(["--rounds", "1", "--plans", "1"])
    (row,) = json.loads((tmp_path / "steps.json").read_text())["rows"]
    assert (row["name"], row["predicted"]) == ("same", 1.0)
    printed = capsys.readouterr().out.splitlines()
    assert ["left out" in line for line in printed if line.startswith("same")] == [False, True]
