"""The script behind the picture of success against minutes trains what it says, and draws it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from worldmodel.commands.configuration import composed, load, typed
from worldmodel.commands.evaluation import wilson


@pytest.fixture
def script(script_named: Callable[[str], ModuleType]) -> ModuleType:
    return script_named("minutes")


def test_both_steps_of_training_together_take_every_stage_by_its_share(script: ModuleType) -> None:
    load("train")
    for share in (0.125, 1):
        keys = [*script.steps(share, reading=True), *script.steps(share, reading=False)]
        given: dict[str, int] = {}
        for key in keys:
            name, _, count = key.partition("=")
            given[name] = given.get(name, 0) + int(count)
        whole = typed(composed("train", ["data=x", "out=x"])).predictor.training
        for name, count in given.items():
            recipe = getattr(whole, name.split(".")[2]).steps
            assert count == round(share * recipe), name
        assert len(given) == len(keys) / 2


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
    assert [command for command, _, _ in ran] == ["train", "train", "plan", "plan"] * 2
    sight, world = ran[0], ran[1]
    assert "encoder_checkpoint=e" in sight[2]
    assert f"init={sight[1]}" in world[2]
    assert not any(word.startswith("encoder_checkpoint") for word in world[2])
    assert all(f"checkpoint={world[1]}" in words for _, _, words in ran[2:4])
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [(row["share"], row["minutes"]) for row in rows] == [(0.25, 4.0), (0.5, 4.0)]
    assert (tmp_path / "rows.png").stat().st_size > 0
