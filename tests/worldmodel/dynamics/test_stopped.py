"""A training that is killed goes on where it was; one that diverges leaves no world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from small_training import (
    COMPACT,
    TOKENS,
    make_dataset,
    make_encoder,
    train_small,
)

from worldmodel.training_log import TrainingLog


@pytest.mark.parametrize(
    ("options", "killed_at"),
    [
        (COMPACT, 6),
        ([*TOKENS, "predictor.training.log_every=1", "predictor.training.save_every=1"], 2),
    ],
)
def test_a_killed_training_goes_on_to_the_same_world(
    tmp_path: Path,
    dataset: Path,
    encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    killed_at: int,
) -> None:
    options = [f"encoder_checkpoint={encoder}", *options]
    folders = [tmp_path / name / "world" for name in ("whole", "killed")]
    assert not train_small(tmp_path / "whole", dataset, *options)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "write", _killed_at(killed_at))
        assert train_small(tmp_path / "killed", dataset, *options) == 130
    assert (folders[1] / "training_state.pt").exists()
    assert not train_small(tmp_path / "killed", dataset, *options)
    for file in ("config.json", "model.safetensors", "metrics.jsonl"):
        assert folders[0].joinpath(file).read_bytes() == folders[1].joinpath(file).read_bytes()


def test_a_finished_world_is_trained_anew(tmp_path: Path, dataset: Path, encoder: Path) -> None:
    options = [f"encoder_checkpoint={encoder}", *COMPACT]
    logs: list[str] = []
    for seed in (0, 1):
        assert not train_small(tmp_path, dataset, *options, f"predictor.training.seed={seed}")
        files = {file.name for file in (tmp_path / "world").iterdir()}
        own = {"config.json", "model.safetensors", "metrics.jsonl", "tensorboard"}
        assert files == own | {".hydra", "run.json"}
        logs.append((tmp_path / "world" / "metrics.jsonl").read_text())
    assert logs[0] != logs[1]


def test_a_killed_training_goes_on_only_with_what_it_was_begun_with(
    tmp_path: Path,
    dataset: Path,
    encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert not train_small(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *COMPACT)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "write", _killed_at(6))
        assert train_small(tmp_path, dataset, f"encoder_checkpoint={encoder}", *COMPACT) == 130
    data = make_dataset(tmp_path / "data", width=7, seed=9)
    unlike = make_encoder(tmp_path / "unlike", seed=1)
    for folder, other, names in (
        (data, [f"encoder_checkpoint={encoder}", *COMPACT], "data"),
        (dataset, [f"encoder_checkpoint={unlike}", *COMPACT], "encoder_checkpoint"),
        (dataset, [f"init={tmp_path / 'a' / 'world'}", *COMPACT], "init"),
        (
            dataset,
            [f"encoder_checkpoint={encoder}", *COMPACT, "predictor.training.seed=1", "holdout=0.3"],
            "holdout, predictor.training.seed",
        ),
        (
            dataset,
            [f"encoder_checkpoint={encoder}", *TOKENS],
            "predictor.model, predictor.training",
        ),
    ):
        assert train_small(tmp_path, folder, *other) == 1
        assert f"other settings ({names})." in capsys.readouterr().err


def _killed_at(last: int) -> Callable[[TrainingLog, int, Mapping[str, float]], None]:
    """A log that is interrupted at a step."""
    write = TrainingLog.write

    def interrupted(log: TrainingLog, step: int, figures: Mapping[str, float]) -> None:
        write(log, step, figures)
        if step == last:
            raise KeyboardInterrupt

    return interrupted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([*COMPACT, "predictor.training.value.learning_rate=1e30"], "stage value stopped at step"),
        ([*TOKENS, "predictor.training.learning_rate=1e30"], "token predictor stopped at step"),
    ],
)
def test_a_run_that_diverges_writes_no_world_and_says_so_in_a_line(
    options: list[str],
    said: str,
    tmp_path: Path,
    dataset: Path,
    encoder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train_small(tmp_path, dataset, f"encoder_checkpoint={encoder}", *options) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in message
    assert "Lower learning_rate (now 1e+30)" in message
    assert not (tmp_path / "world" / "config.json").exists()
    assert not (tmp_path / "world" / "model.safetensors").exists()


def test_a_world_whose_validation_is_not_finite_is_taken_back_and_its_state_stays(
    tmp_path: Path,
    dataset: Path,
    encoder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def imagine_nothing(*_: object) -> torch.Tensor:
        return torch.full((1, 8, 4, 16), torch.nan)

    with monkeypatch.context() as patch:
        patch.setattr("worldmodel.dynamics.tokens.unroll", imagine_nothing)
        patch.setattr("worldmodel.dynamics.tokens.token_losses", _no_losses)
        assert train_small(tmp_path, dataset, f"encoder_checkpoint={encoder}", *TOKENS) == 1
    assert "fails on held-out episodes" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "world").iterdir()) == [
        "metrics.jsonl",
        "tensorboard",
        "training_state.pt",
    ]


def _no_losses(model: torch.nn.Module, *_: object) -> dict[str, torch.Tensor]:
    return {"nothing": sum((p.sum() * 0 for p in model.parameters()), torch.zeros(()))}
