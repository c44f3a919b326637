"""``worldmodel study`` runs what is missing, survives kills and failures, and says what it found.

Pretraining, training and planning are played here; a test of the readme runs the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from worldmodel.cli import main as cli
from worldmodel.errors import UserError
from worldmodel.pretraining.jepa import JepaTraining
from worldmodel.pretraining.lewm import LewmTraining
from worldmodel.pretraining.pretrain import PretrainConfig
from worldmodel.studies import encoders as study

VALIDATION = {
    "control_steps": [2],
    "latent_error": [0.1],
    "copy_error": [0.2],
    "object_cm": [3.0],
    "object_copy_cm": [4.0],
    "object_true_cm": [1.0],
}


class Played:
    """Stages that only leave what a study reads; ``ran`` has their settings."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, Any]] = []
        self.before: Callable[[str, Path], None] = lambda stage, out: None

    def begin(self, stage: str, out: Path, settings: Any) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.before(stage, out)
        self.ran.append((stage, settings))

    def pretrain(self, config: Any) -> None:
        out = Path(config.out)
        self.begin("pretrain", out, config)
        (out / "metrics.jsonl").write_text('{"step": 0, "rank": 5.0}\n{"step": 1, "loss": 1}\n')

    def train(self, config: Any) -> float:
        out = Path(config.out)
        self.begin("train", out, config)
        Path(config.cache).mkdir(exist_ok=True)
        (out / "config.json").write_text(json.dumps({"record": {"validation": VALIDATION}}))
        return 0.1

    def plan(self, out: Path, settings: Any, machine: Any, **sizes: int) -> dict[str, Any]:
        self.begin("plan", out, SimpleNamespace(settings=settings, machine=machine, **sizes))
        episodes = [{"success": i == 0} for i in range(sizes["episodes"])]
        return {"success": {"final": {"rate": 0.5, "ci95": [0.1, 0.9]}}, "episodes": episodes}

    def stages(self) -> list[str]:
        return [stage for stage, _ in self.ran]

    def of(self, wanted: str) -> list[Any]:
        return [settings for stage, settings in self.ran if stage == wanted]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    stages = Played()
    monkeypatch.setattr(study, "run_pretraining", stages.pretrain)
    monkeypatch.setattr(study, "run_training", stages.train)
    monkeypatch.setattr(study, "planned", stages.plan)
    dataset = SimpleNamespace(fingerprint=lambda: "the data")
    monkeypatch.setattr(study, "Dataset", SimpleNamespace(open=lambda folder, **_: dataset))
    return stages


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
    assert played.stages() == 4 * ["pretrain", "train", "plan", "plan"]
    record = records(tmp_path)[0]
    assert record["probe"] == {"rank": 5.0}
    assert record["open_loop"] == VALIDATION
    assert record["success"]["rich"]["outcomes"] == [True, False]
    assert set(record["minutes"]) == {"pretrain", "train", "plain", "rich"}
    stored = json.loads((tmp_path / "study.json").read_text())
    assert [row["arm"] for row in stored["summary"]] == ["random", "vjepa"]
    assert "50% [15%, 85%]" in capsys.readouterr().out


def test_an_arms_settings_and_seed_reach_the_stages_and_outweigh_the_users(
    played: Played, tmp_path: Path
) -> None:
    given = (
        "pretrain.training.steps=7",
        "pretrain.training.batch=8",
        "train.predictor.training.object_latent.steps=3",
        "plan.task=reach",
        "plan.planner=cem",
        "plan.settings={samples: 33}",
        "plan.batch=2",
        "plan.threads=2",
        "cache=c",
    )
    assert run(tmp_path, *given) == 0
    pretrained, trained, planned = (played.of(stage) for stage in ("pretrain", "train", "plan"))
    steps = [(c.training.steps, c.training.variance_weight) for c in pretrained]
    assert steps == [(0, 1.0), (7, 0.0)] * 2
    assert {(c.training.batch, c.data, c.cache) for c in pretrained} == {(8, "d", "c")}
    assert [c.training.seed for c in pretrained] == [0, 0, 1, 1]
    assert [c.predictor.training.seed for c in trained] == [0, 0, 1, 1]
    assert {c.predictor.training.object_latent.steps for c in trained} == {3}
    assert [c.encoder_checkpoint for c in trained] == [c.out for c in pretrained]
    assert [p.machine.checkpoint for p in planned[::2]] == [c.out for c in trained]
    plans = [(p.seed, p.settings.appearance, p.settings.task, p.episodes) for p in planned]
    assert plans[:2] == [(0, "plain", "reach", 2), (0, "rich", "reach", 2)]
    assert plans[-1] == (2, "rich", "reach", 2), "seeds plan tasks of their own"
    assert {(p.batch, p.machine.threads, p.settings.planner) for p in planned} == {(2, 2, "cem")}
    assert planned[0].settings.resolved()[1].samples == 33


def test_encoders_can_be_pretrained_on_more_video_than_there_are_actions_for(
    played: Played, tmp_path: Path
) -> None:
    assert run(tmp_path, "arms=[vjepa]", "seeds=[0]", "video=v") == 0
    data = [(stage, config.data) for stage, config in played.ran if stage != "plan"]
    assert data == [("pretrain", "v"), ("train", "d")]


def test_fewer_episodes_train_more_worlds_on_one_encoder(played: Played, tmp_path: Path) -> None:
    assert run(tmp_path, "arms=[random]", "seeds=[0]", "episodes=[5,9]", "appearances=[rich]") == 0
    assert played.stages() == ["pretrain", *3 * ["train", "plan"]]
    assert [c.episodes for c in played.of("train")] == [None, 5, 9]
    assert cells(tmp_path) == [("random", 0, None), ("random", 0, 5), ("random", 0, 9)]


def test_what_is_recorded_is_not_run_again_and_what_is_added_is(
    played: Played, tmp_path: Path
) -> None:
    assert run(tmp_path, "seeds=[0]") == 0
    done = len(played.ran)
    assert run(tmp_path, "seeds=[0]") == 0
    assert len(played.ran) == done
    assert run(tmp_path, "seeds=[0]", "arms=[random,vjepa,lewm]") == 0
    assert played.stages()[done:] == ["pretrain", "train", "plan", "plan"]


def test_a_killed_study_goes_on_with_the_stage_it_was_in(played: Played, tmp_path: Path) -> None:
    def kill(stage: str, out: Path) -> None:
        if stage == "train":
            raise KeyboardInterrupt

    played.before = kill
    assert run(tmp_path, "arms=[vjepa]", "seeds=[0]") == 130
    played.before = lambda stage, out: None
    assert run(tmp_path, "arms=[vjepa]", "seeds=[0]") == 0
    assert played.stages() == ["pretrain", "train", "plan", "plan"]
    minutes = records(tmp_path)[0]["minutes"]
    assert minutes["train"] is None, "how long it took before the kill is unknown"
    assert minutes["pretrain"] is not None


def test_an_arm_that_fails_does_not_stop_the_others_and_is_tried_again(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(stage: str, out: Path) -> None:
        if stage == "train" and "random-0" in str(out):
            raise RuntimeError("the disk is full")

    played.before = fail
    assert run(tmp_path, "seeds=[0]") == 1
    assert "random with seed 0 (the disk is full)" in capsys.readouterr().err
    assert cells(tmp_path) == [("vjepa", 0, None)]
    played.before = lambda stage, out: None
    assert run(tmp_path, "seeds=[0]") == 0
    assert cells(tmp_path) == [("vjepa", 0, None), ("random", 0, None)]


def test_a_process_keeps_what_another_has_recorded_meanwhile(
    played: Played, tmp_path: Path
) -> None:
    def meanwhile(stage: str, out: Path) -> None:
        played.before = lambda stage, out: None
        assert run(tmp_path, "arms=[vjepa]", "seeds=[0]") == 0

    played.before = meanwhile
    assert run(tmp_path, "arms=[random]", "seeds=[0]") == 0
    assert cells(tmp_path) == [("vjepa", 0, None), ("random", 0, None)]


def test_latents_of_an_arm_are_removed_when_it_is_done(played: Played, tmp_path: Path) -> None:
    assert run(tmp_path, "seeds=[0]") == 0
    caches = {Path(c.cache) for c in played.of("train")}
    assert len(caches) == 2
    assert not any(cache.exists() for cache in caches)


def test_a_study_goes_on_only_with_its_own_settings(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "seeds=[0]") == 0
    assert run(tmp_path, "seeds=[0]", "trials=3", "train.holdout=0.2") == 1
    assert "other settings (trials, train). Give another out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("arms=[jepa]", "Expected arms among pixels, random, vjepa"),
        ("appearances=[rihc]", "Expected appearances among plain, rich"),
        ("trials=0", "Expected trials of at least 1"),
        ("seeds=[4000000000]", "Expected seeds and trials that come to 4294967296 tasks at most"),
        ("pretrain.training.warmup=2", "Expected pretrain.training.warmup of at most 1"),
        ("pretrain.training.clip_frames=7", "Expected clip_frames to be a multiple of the tube"),
        ("pretrain.data=x", "Expected no pretrain.data, which the study gives; got x"),
        ("train.predictor.training.seed=3", "Expected no train.predictor.training.seed"),
        ("plan.appearance=rich", "Expected no plan.appearance, which the study gives"),
        ("train.holdout=10", "Expected train.holdout below 1"),
        ("train.holdoud=0.2", "did you mean 'train.holdout'?"),
        ("plan.pursuit={prior_noise: -1}", "Expected prior_noise of at least 0"),
        ("plan.settings={smaples: 3}", "did you mean 'samples'?"),
        ("plan.planner=cme", "did you mean 'cem'?"),
        ("plan.dtype=half", "Expected dtype to be one of"),
    ],
)
def test_what_cannot_be_studied_is_refused_before_anything_runs(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str, message: str
) -> None:
    assert run(tmp_path, word) == 1
    assert message in capsys.readouterr().err
    assert played.ran == []


def test_arms_differ_in_what_they_are_named_for() -> None:
    usual = study.StudyConfig().pretrain
    config = {name: arm.applied(usual) for name, arm in study.ARMS.items()}
    assert config["pixels"].encoder.depth == 0
    assert [arm for arm, c in config.items() if not c.training.steps] == ["pixels", "random"]
    terms = ("variance_weight", "covariance_weight", "sigreg_weight")
    active = {
        arm: {term for term in terms if getattr(config[arm].training, term)}
        for arm in ("vjepa", "vjepa_vicreg", "vjepa_sigreg")
    }
    assert active == {"vjepa": set(), "vjepa_vicreg": set(terms[:2]), "vjepa_sigreg": {terms[2]}}
    assert isinstance(config["lewm"].training, LewmTraining)
    assert {c.training.min_rank for c in config.values()} == {0}, "a collapse is a result"


def test_another_objective_keeps_what_the_user_set_of_the_settings_that_both_have() -> None:
    given = JepaTraining(steps=7, sigreg_weight=0.3)
    config = study.ARMS["lewm"].applied(PretrainConfig(training=given))
    assert config.training == LewmTraining(steps=7)
    assert study.ARMS["vjepa_vicreg"].applied(config).training == JepaTraining(steps=7)


def test_a_study_can_be_described_in_python() -> None:
    train = study.StudyConfig().train
    made = study.StudyConfig(data="d", out="o", pretrain=PretrainConfig(training="lewm"))
    assert made.train == train
    with pytest.raises(UserError, match="unknown planner 'cme'"):
        study.StudyPlan(planner="cme").resolved()


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
