"""``worldmodel study`` runs what is missing, survives kills and failures, and says what it found.

The commands it runs are played here; a test of the readme runs the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from worldmodel.cli import configuration
from worldmodel.cli import main as cli
from worldmodel.studies import encoders as study
from worldmodel.studies import stages

VALIDATION = {
    "control_steps": [2],
    "latent_error": [0.1],
    "copy_error": [0.2],
    "object_cm": [3.0],
    "object_copy_cm": [4.0],
    "object_true_cm": [1.0],
}


class Played:
    """Commands that only leave what a study reads; ``ran`` has their configurations."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, Any]] = []
        self.before: Callable[[str, Any], None] = lambda command, config: None

    def load(self, command: str) -> tuple[type[Any], Callable[[Any], None]]:
        schema, _ = configuration.load(command)
        return schema, lambda config: self.play(command, config)

    def play(self, command: str, config: Any) -> None:
        out = Path(config.out)
        out.mkdir(parents=True, exist_ok=True)
        self.before(command, config)
        self.ran.append((command, config))
        if command == "pretrain":
            (out / "metrics.jsonl").write_text('{"step": 0, "rank": 5.0}\n{"step": 1, "loss": 1}\n')
        elif command == "train":
            Path(config.cache).mkdir(exist_ok=True)
            content = {"record": {"validation": VALIDATION}}
            (out / "config.json").write_text(json.dumps(content))
        else:
            episodes = [{"success": i == 0} for i in range(config.episodes)]
            success = {"final": {"rate": 0.5, "ci95": [0.1, 0.9]}}
            content = {"success": success, "episodes": episodes}
            (out / "report.json").write_text(json.dumps(content))

    def commands(self) -> list[str]:
        return [command for command, _ in self.ran]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    commands = Played()
    monkeypatch.setattr(study, "load", commands.load)
    monkeypatch.setattr(stages, "load", commands.load)
    dataset = SimpleNamespace(fingerprint=lambda: "the data")
    monkeypatch.setattr(study, "Dataset", SimpleNamespace(open=lambda folder, **_: dataset))
    return commands


def run(out: Path, *words: str) -> int:
    given = ["arms=[random,vjepa]", "seeds=[0,1]", "trials=2", *words]
    return cli.main(["study", "data=d", f"out={out}", *given])


def records(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "study.json").read_text())["records"]


def cells(out: Path) -> list[tuple[Any, ...]]:
    return [(r["arm"], r["seed"], r["episodes"]) for r in records(out)]


def test_every_arm_and_seed_is_pretrained_trained_planned_and_recorded(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 0
    assert cells(tmp_path) == [
        ("random", 0, None),
        ("vjepa", 0, None),
        ("random", 1, None),
        ("vjepa", 1, None),
    ]
    assert played.commands() == 4 * ["pretrain", "train", "plan", "plan"]
    record = records(tmp_path)[0]
    assert record["probe"] == {"rank": 5.0}
    assert record["open_loop"] == VALIDATION
    assert record["success"]["rich"]["outcomes"] == [True, False]
    assert set(record["minutes"]) == {"pretrain", "train", "plain", "rich"}
    stored = json.loads((tmp_path / "study.json").read_text())
    assert [row["arm"] for row in stored["summary"]] == ["random", "vjepa"]
    assert "50% [15%, 85%]" in capsys.readouterr().out


def test_an_arms_keys_and_seed_reach_the_commands_and_outweigh_the_users(
    played: Played, tmp_path: Path
) -> None:
    given = (
        "pretrain='training.steps=7 training.batch=8'",
        "train='predictor.training.object_latent.steps=3'",
        "plan='task=reach planner.samples=33'",
    )
    assert run(tmp_path, *given) == 0
    by_command = {"pretrain": [], "train": [], "plan": []}
    for command, config in played.ran:
        by_command[command].append(config)
    trained = [(c.training.steps, c.training.variance_weight) for c in by_command["pretrain"]]
    assert trained == [(0, 1.0), (7, 0.0)] * 2
    assert {c.training.batch for c in by_command["pretrain"]} == {8}
    assert [c.training.seed for c in by_command["pretrain"]] == [0, 0, 1, 1]
    assert [c.predictor.training.seed for c in by_command["train"]] == [0, 0, 1, 1]
    assert {c.predictor.training.object_latent.steps for c in by_command["train"]} == {3}
    plans = [(c.seed, c.appearance, c.task.name, c.episodes) for c in by_command["plan"]]
    assert plans[:2] == [(0, "plain", "reach", 2), (0, "rich", "reach", 2)]
    assert plans[-1] == (2, "rich", "reach", 2), "seeds plan tasks of their own"


def test_encoders_can_be_pretrained_on_more_video_than_there_are_actions_for(
    played: Played, tmp_path: Path
) -> None:
    assert run(tmp_path, "arms=[vjepa]", "seeds=[0]", "video=v") == 0
    data = [(command, config.data) for command, config in played.ran if command != "plan"]
    assert data == [("pretrain", "v"), ("train", "d")]


def test_fewer_episodes_train_more_worlds_on_one_encoder(played: Played, tmp_path: Path) -> None:
    assert run(tmp_path, "arms=[random]", "seeds=[0]", "episodes=[5,9]", "appearances=[rich]") == 0
    assert played.commands() == ["pretrain", *3 * ["train", "plan"]]
    assert [c.episodes for command, c in played.ran if command == "train"] == [None, 5, 9]
    assert cells(tmp_path) == [("random", 0, None), ("random", 0, 5), ("random", 0, 9)]


def test_what_is_recorded_is_not_run_again_and_what_is_added_is(
    played: Played, tmp_path: Path
) -> None:
    assert run(tmp_path, "seeds=[0]") == 0
    done = len(played.ran)
    assert run(tmp_path, "seeds=[0]") == 0
    assert len(played.ran) == done
    assert run(tmp_path, "seeds=[0]", "arms=[random,vjepa,lewm]") == 0
    assert played.commands()[done:] == ["pretrain", "train", "plan", "plan"]


def test_a_killed_study_goes_on_with_the_stage_it_was_in(played: Played, tmp_path: Path) -> None:
    def kill(command: str, config: Any) -> None:
        if command == "train":
            raise KeyboardInterrupt

    played.before = kill
    assert run(tmp_path, "arms=[vjepa]", "seeds=[0]") == 130
    played.before = lambda command, config: None
    assert run(tmp_path, "arms=[vjepa]", "seeds=[0]") == 0
    assert played.commands() == ["pretrain", "train", "plan", "plan"]
    minutes = records(tmp_path)[0]["minutes"]
    assert minutes["train"] is None, "how long it took before the kill is unknown"
    assert minutes["pretrain"] is not None


def test_an_arm_that_fails_does_not_stop_the_others_and_is_tried_again(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: str, config: Any) -> None:
        if command == "train" and "random-0" in config.out:
            raise RuntimeError("the disk is full")

    played.before = fail
    assert run(tmp_path, "seeds=[0]") == 1
    assert "random with seed 0 (the disk is full)" in capsys.readouterr().err
    assert cells(tmp_path) == [("vjepa", 0, None)]
    played.before = lambda command, config: None
    assert run(tmp_path, "seeds=[0]") == 0
    assert cells(tmp_path) == [("vjepa", 0, None), ("random", 0, None)]


def test_a_process_keeps_what_another_has_recorded_meanwhile(
    played: Played, tmp_path: Path
) -> None:
    def meanwhile(command: str, config: Any) -> None:
        played.before = lambda command, config: None
        assert run(tmp_path, "arms=[vjepa]", "seeds=[0]") == 0

    played.before = meanwhile
    assert run(tmp_path, "arms=[random]", "seeds=[0]") == 0
    assert cells(tmp_path) == [("vjepa", 0, None), ("random", 0, None)]


def test_latents_of_an_arm_are_removed_when_it_is_done(played: Played, tmp_path: Path) -> None:
    assert run(tmp_path, "seeds=[0]") == 0
    caches = {Path(c.cache) for command, c in played.ran if command == "train"}
    assert len(caches) == 2
    assert not any(cache.exists() for cache in caches)


def test_a_study_goes_on_only_with_its_own_settings(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "seeds=[0]") == 0
    assert run(tmp_path, "seeds=[0]", "trials=3", "train='holdout=0.2'") == 1
    assert "other settings (trials, train). Give another out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("arms=[jepa]", "Expected arms among pixels, random, vjepa"),
        ("appearances=[rihc]", "Expected appearances among plain, rich"),
        ("trials=0", "Expected trials of at least 1"),
        ("seeds=[4000000000]", "Expected seed below 4294967296"),
        ("pretrain='training.warmup=2'", "Expected training.warmup of at most 1"),
        ("train='holdout=10'", "Expected holdout below 1"),
        ("plan='task.prior_noise=-1'", "Expected task.prior_noise of at least 0"),
        ("train='holdoud=0.2'", "did you mean 'holdout'?"),
    ],
)
def test_what_cannot_be_studied_is_refused_before_anything_runs(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str, message: str
) -> None:
    assert run(tmp_path, word) == 1
    assert message in capsys.readouterr().err
    assert played.ran == []


def words(arm: str) -> Sequence[str]:
    return ["data=d", "out=o", *study.ARMS[arm]]


def test_arms_differ_in_what_they_are_named_for() -> None:
    configuration.load("pretrain")
    config = {
        arm: configuration.typed(configuration.composed("pretrain", words(arm)))
        for arm in study.ARMS
    }
    assert config["pixels"].encoder.depth == 0
    assert [arm for arm, c in config.items() if not c.training.steps] == ["pixels", "random"]
    terms = ("variance_weight", "covariance_weight", "sigreg_weight")
    active = {
        arm: {term for term in terms if getattr(config[arm].training, term)}
        for arm in ("vjepa", "vjepa_vicreg", "vjepa_sigreg")
    }
    assert active == {"vjepa": set(), "vjepa_vicreg": set(terms[:2]), "vjepa_sigreg": {terms[2]}}
    assert type(config["lewm"].training).__name__ == "LewmTraining"


def test_what_another_process_records_at_the_same_moment_is_kept(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not run(tmp_path / "other", "arms=[lewm]", "seeds=[7]")
    (theirs,) = records(tmp_path / "other")

    @contextmanager
    def just_after_the_other(path: Path, busy: str) -> Iterator[None]:
        stored = tmp_path / "out" / "study.json"
        if not stored.exists():
            stored.write_text((tmp_path / "other" / "study.json").read_text())
        yield

    monkeypatch.setattr(study, "locked", just_after_the_other)
    assert not run(tmp_path / "out", "arms=[random]", "seeds=[0]")
    assert theirs in records(tmp_path / "out")
    assert len(records(tmp_path / "out")) == 2
