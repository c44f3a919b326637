"""The script behind the picture of success against minutes trains what it says, and draws it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from worldmodel.cli.configuration import composed, load, typed
from worldmodel.evaluation.intervals import wilson


@pytest.fixture
def script(script_named: Callable[[str], ModuleType]) -> ModuleType:
    return script_named("minutes")


def test_every_stage_takes_its_share(script: ModuleType) -> None:
    load("train")
    words = ["data=x", "out=x"]
    whole = typed(composed("train", words)).predictor.training
    part = typed(composed("train", [*words, *script.steps(0.125)])).predictor.training
    stages = [field.name for field in fields(whole) if field.name != "seed"]
    assert [getattr(part, name).steps for name in stages] == [
        round(0.125 * getattr(whole, name).steps) for name in stages
    ]


def test_worlds_are_trained_and_planned_share_by_share(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, Path, list[str]]] = []

    def stage(command: str, out: Path, words: Sequence[str]) -> float:
        load(command)
        typed(composed(command, [*words, f"out={out}"]))
        ran.append((command, out, list(words)))
        if command == "plan":
            out.mkdir(parents=True)
            final = {"rate": 0.5, "ci95": list(wilson(50, 100))}
            report = {"n": 100, "success": {"final": final}}
            (out / "report.json").write_text(json.dumps(report))
        return 2.0

    monkeypatch.setattr(script, "stage", stage)
    for name, path in (("FOLDER", "runs"), ("RESULTS", "rows.json"), ("PICTURE", "rows.png")):
        monkeypatch.setattr(script, name, tmp_path / path)
    monkeypatch.setattr(script, "SHARES", (0.25, 0.5))
    script.main(["data=d", "encoder_checkpoint=e"])
    assert [command for command, _, _ in ran] == ["train", *["train", "plan", "plan"] * 2]
    assert all("encoder_checkpoint=e" in words for command, _, words in ran if command == "train")
    assert "predictor.training.object_latent.steps=0" in ran[0][2], "embedding is not training"
    assert all(f"checkpoint={ran[1][1]}" in words for _, _, words in ran[2:4])
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [(row["share"], row["minutes"]) for row in rows] == [(0.25, 2.0), (0.5, 2.0)]
    assert (tmp_path / "rows.png").stat().st_size > 0
