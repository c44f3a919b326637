import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tqdm import tqdm

from worldmodel import training_log
from worldmodel.files.disk import NoRoomError
from worldmodel.training_log import TrainingLog


def entries(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_log_drops_what_the_killed_run_wrote_after_its_last_save(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, "test", total=4) as log:
        for step in (1, 2, 3):
            log.write(step, {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # cut short by the kill
    with TrainingLog(tmp_path, "test", total=4, start=2) as log:
        log.write(3, {"loss": 30.0})
    assert entries(tmp_path) == [
        {"step": 1, "loss": 1.0},
        {"step": 2, "loss": 2.0},
        {"step": 3, "loss": 30.0},
    ]


def test_a_fresh_run_replaces_the_log_of_an_older_one(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        with TrainingLog(tmp_path, "test", total=1) as log:
            log.write(1, {"loss": value})
    assert entries(tmp_path) == [{"step": 1, "loss": 2.0}]


def test_a_full_disk_is_named_in_the_thread_that_writes(
    tmp_path: Path,
    small_files: Callable[[int], Any],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training_log, "tqdm", partial(tqdm, disable=True))  # stderr is a file here

    def fill() -> None:
        with TrainingLog(tmp_path, "test", total=1000) as log:
            for step in range(1000):
                log.write(step, {"loss": 1.0})

    named = rf"free in {tmp_path} for metrics\.jsonl, got"
    with small_files(2000), pytest.raises(NoRoomError, match=named):
        fill()
    assert 10 < len((tmp_path / "metrics.jsonl").read_text().splitlines()) < 1000
    assert capfd.readouterr().err == ""


def test_tensorboard_gets_the_figures_too(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, "test", total=1) as log:
        log.write(1, {"loss": 1.0})
    (events,) = (tmp_path / "tensorboard").iterdir()
    board = EventAccumulator(str(events)).Reload()
    assert [(e.step, e.value) for e in board.Scalars("loss")] == [(1, 1.0)]


def test_tensorboard_drops_what_a_killed_run_wrote_after_its_last_save(tmp_path: Path) -> None:
    for start, values in ((0, (1.0, 2.0)), (1, (20.0,))):
        with TrainingLog(tmp_path, "test", total=2, start=start) as log:
            for step, value in enumerate(values, start=start + 1):
                log.write(step, {"loss": value})
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in board.Scalars("loss")] == [(1, 1.0), (2, 20.0)]


def test_without_tensorboard_the_figures_are_written_and_a_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with TrainingLog(tmp_path, "test", total=2) as log:
        for step in (1, 2):
            log.write(step, {"loss": 1.0})
    assert [entry["step"] for entry in entries(tmp_path)] == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("pip install 'worldmodel[tensorboard]'")
