import json
from pathlib import Path

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


def test_tensorboard_gets_the_figures_too(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, "test", total=1) as log:
        log.write(1, {"loss": 1.0})
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"loss" in events.read_bytes()
