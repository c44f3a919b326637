"""The script behind the picture of success against minutes trains what it says, and draws it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from worldmodel.dynamics.train import TrainConfig, VectorRecipe
from worldmodel.evaluation.intervals import wilson


@pytest.fixture
def script(script_named: Callable[[str], ModuleType]) -> ModuleType:
    return script_named("minutes")


def test_every_stage_takes_its_share(script: ModuleType) -> None:
    whole = VectorRecipe().training
    train = TrainConfig(VectorRecipe(), "d")
    part = script.shortened(train, 0.125, Path("o"))
    assert (part.data, part.out) == ("d", "o")
    stages = [field.name for field in fields(whole) if field.name != "seed"]
    assert [getattr(part.predictor.training, name).steps for name in stages] == [
        round(0.125 * getattr(whole, name).steps) for name in stages
    ]


def test_worlds_are_trained_and_planned_share_by_share(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[TrainConfig] = []
    planned: list[tuple[str, str, int]] = []

    def train(config: TrainConfig) -> None:
        trained.append(config)

    def plan(out: Path, settings: Any, machine: Any, **sizes: int) -> dict[str, Any]:
        planned.append((machine.checkpoint, settings.appearance, sizes["episodes"]))
        return {"n": 100, "success": {"final": {"rate": 0.5, "ci95": list(wilson(50, 100))}}}

    monkeypatch.setattr(script, "run_training", train)
    monkeypatch.setattr(script, "planned", plan)
    for name, path in (("FOLDER", "runs"), ("RESULTS", "rows.json"), ("PICTURE", "rows.png")):
        monkeypatch.setattr(script, name, tmp_path / path)
    monkeypatch.setattr(script, "SHARES", (0.25, 0.5))
    script.main(["d", "e"])
    assert {(config.data, config.encoder_checkpoint) for config in trained} == {("d", "e")}
    embedding, *worlds = trained
    assert embedding.predictor.training.object_latent.steps == 0, "embedding is not training"
    assert planned == [(w.out, look, 100) for w in worlds for look in ("plain", "rich")]
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["share"] for row in rows] == [0.25, 0.5]
    assert all(row["minutes"] is not None for row in rows)
    assert (tmp_path / "rows.png").stat().st_size > 0
    script.main(["d", "e"])
    assert len(trained) == 3, "what is trained is not trained again"
