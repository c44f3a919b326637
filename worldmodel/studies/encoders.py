"""``worldmodel study``: what pretraining the encoder is worth, arm by arm and seed by seed.

Every arm pretrains, trains and plans with settings that are the same but for its `Arm`, so that
whatever differs between two arms is named here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pydantic.dataclasses
from omegaconf import MISSING

from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.devices import known_precision
from worldmodel.dynamics.train import TrainConfig, run_training
from worldmodel.envs import APPEARANCES, TASKS
from worldmodel.errors import UserError
from worldmodel.files.atomic import write_json
from worldmodel.files.locks import locked
from worldmodel.presets import preset
from worldmodel.pretraining.objective import PretrainingConfig
from worldmodel.pretraining.pretrain import PretrainConfig, run_pretraining
from worldmodel.settings import CHECKED, Batch, Count, NonEmpty, Seed, Threads
from worldmodel.studies.encoders_table import summary, table
from worldmodel.studies.plans import Machine, PlanSettings, final_success, planned
from worldmodel.studies.resumable import stage

__all__ = ["ARMS", "Arm", "StudyConfig", "compare_encoders"]

_GIVEN = "given-by-the-study"
"""Stands for what the study itself gives to a stage."""


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class Arm:
    """How an encoder is made, as far as that is not the same for all.

    Attributes:
        objective: It is trained by.
        training: Other settings of that, by name.
        encoder: Other sizes of the encoder, by name.
        frame_stride: Recorded frames from one frame of a clip to the next; None for the study's.
    """

    objective: str = "vjepa"
    training: Mapping[str, Any] = field(default_factory=dict)
    encoder: Mapping[str, Any] = field(default_factory=dict)
    frame_stride: int | None = None

    def applied(self, config: PretrainConfig) -> PretrainConfig:
        """Settings of pretraining with those of the arm, which outweigh them.

        Raises:
            ValueError: They contradict one another.
        """
        return replace(
            config,
            encoder=replace(config.encoder, **self.encoder),
            training=replace(_by(self.objective, config.training), **self.training),
            frame_stride=self.frame_stride or config.frame_stride,
        )


def _by(objective: str, training: PretrainingConfig) -> PretrainingConfig:
    """The same training by an objective: of another's settings, those that all share are kept."""
    usual: PretrainingConfig = preset("training", objective)
    if type(usual) is type(training):
        return training
    shared = {f.name: getattr(training, f.name) for f in fields(PretrainingConfig)}
    own = type(training)()
    return replace(usual, **{k: v for k, v in shared.items() if v != getattr(own, k)})


_NO_TERMS = {"variance_weight": 0.0, "covariance_weight": 0.0}

ARMS = {
    "pixels": Arm(encoder={"depth": 0}, training={"steps": 0}),
    "random": Arm(training={"steps": 0}),
    "vjepa": Arm(training=_NO_TERMS),
    "vjepa_vicreg": Arm(),
    "vjepa_sigreg": Arm(training=_NO_TERMS | {"sigreg_weight": 0.1}),
    "lewm": Arm(objective="lewm", frame_stride=2),
}


def _usual_pretraining() -> PretrainConfig:
    training = preset("training", "vjepa", min_rank=0.0)  # a collapse is a result, too
    return PretrainConfig(data=_GIVEN, out=_GIVEN, cache=_GIVEN, training=training)


def _usual_training() -> TrainConfig:
    predictor = preset("predictor", "vector")
    return TrainConfig(
        predictor=predictor,
        data=_GIVEN,
        out=_GIVEN,
        cache=_GIVEN,
        encoder_checkpoint=_GIVEN,
    )


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class StudyPlan(PlanSettings):
    """How every world plans.

    Attributes:
        task: By name; None for ``push``, or ``goal_image`` with ``env``.
        planner: By name.
        pursuit: Other settings of the task, by name.
        settings: Other settings of the planner, by name.
        dtype: To imagine in.
        appearance: Given by the study.
        split: Of rich appearances.
        env: Environment; None for that of the task.
        goal_source: As in ``worldmodel plan``.
        goal_ahead: As in ``worldmodel plan``.
        success: As in ``worldmodel plan``.
        batch: Episodes planned at once.
        device: Such as ``cpu`` or ``cuda``.
        threads: CPU threads of the model.
    """

    dtype: str | None = "auto"
    batch: Batch = 1
    device: str = "cpu"
    threads: Threads = 1

    def __post_init__(self) -> None:
        known_precision(self.dtype or "auto")


_STUDYS = {
    "pretrain": (
        *("data", "out", "cache", "allow_links_outside"),
        "training.seed",
    ),
    "train": (
        *("data", "out", "cache", "allow_links_outside", "encoder_checkpoint", "init", "episodes"),
        "predictor.training.seed",
    ),
    "plan": ("appearance",),
}
"""Settings of the stages that the study gives, so that nobody else may."""


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class StudyConfig:
    """What to compare, on what, and how thoroughly.

    Attributes:
        data: Folder of a LeRobotDataset v3.0, as `collect` makes it.
        video: Folder of another, for encoders to be pretrained on; null for the same. Of all arms
            but ``lewm`` they see its images only.
        allow_links_outside: Whether the dataset's files may be symbolic links that lead out of its
            folder, as in the cache of Hugging Face.
        out: Folder of study.json and of all that the arms leave. A killed study continues there;
            several processes may share it, each with arms or seeds of its own.
        arms: Which encoders.
        seeds: Of initialisation and training; each plans other tasks, the same for all arms.
        episodes: Train worlds also on this many episodes each, beside one on all. Encoders see all.
        appearances: Where to plan; () for all that the environment has.
        trials: Episodes planned per appearance and seed.
        pretrain: Settings of ``worldmodel pretrain`` for every arm; those of the arm outweigh them.
        train: Settings of ``worldmodel train``.
        plan: What is planned: ``plan.task=reach plan.planner=cem 'plan.settings={samples: 33}'``.
        cache: Folder of the decoded frames. Latents are removed when an arm is done with them.
    """

    data: str = MISSING
    video: str | None = None
    allow_links_outside: bool = False
    out: str = MISSING
    arms: NonEmpty[str] = tuple(ARMS)
    seeds: NonEmpty[Seed] = (0, 1, 2)
    episodes: tuple[Count, ...] = ()
    appearances: tuple[str, ...] = ()
    trials: Count = 100
    pretrain: PretrainConfig = field(default_factory=_usual_pretraining)
    train: TrainConfig = field(default_factory=_usual_training)
    plan: StudyPlan = field(default_factory=StudyPlan)
    cache: str = "runs/cache"

    def __post_init__(self) -> None:
        for name, known in (("arms", tuple(ARMS)), ("appearances", APPEARANCES)):
            if unknown := [value for value in getattr(self, name) if value not in known]:
                raise ValueError(f"Expected {name} among {', '.join(known)}, got {unknown[0]!r}.")
        if (last := (max(self.seeds) + 1) * self.trials) > 2**32:
            raise ValueError(
                f"Expected seeds and trials that come to {2**32} tasks at most, got {last}"
            )
        for name, *usual in (
            ("pretrain", _usual_pretraining(), PretrainConfig(training="vjepa")),
            ("train", _usual_training(), TrainConfig(predictor="vector")),
            ("plan", StudyPlan()),
        ):
            _refuse_own(name, getattr(self, name), usual)
        for arm in self.arms:
            ARMS[arm].applied(self.pretrain)  # or it raises
        self.plan.resolved()

    @property
    def worn(self) -> tuple[str, ...]:
        """Appearances to plan in; environments other than the built-in arm have one."""
        known = APPEARANCES if self.plan.environment in TASKS else ("plain",)
        return self.appearances or known


def _refuse_own(stage_name: str, given: object, usual: Sequence[object]) -> None:
    """Raise a ValueError where a setting is given that the study gives."""
    for key in _STUDYS[stage_name]:
        value = _at(given, key)
        if value not in [_at(settings, key) for settings in usual]:
            raise ValueError(f"Expected no {stage_name}.{key}, which the study gives; got {value}")


def _at(settings: object, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def compare_encoders(config: StudyConfig) -> None:
    """Run what is not recorded yet, then print the table.

    An arm that fails does not stop the others.

    Raises:
        UserError: Nobody could plan as is asked, the folder holds a study with other settings, or
            an arm failed.
    """
    for appearance in config.worn:
        replace(config.plan, appearance=appearance).check()
    study = _Study(config)
    failed: list[str] = []
    for seed in config.seeds:  # the arms in turn, so that half a study compares them all
        for arm in config.arms:
            try:
                study.complete(arm, seed)
            except Exception as error:  # hours of other arms are not to be lost to one
                failed.append(f"{arm} with seed {seed} ({error})")
                print(f"failed: {failed[-1]}")
    print(table(summary(study.records)))
    if failed:
        raise UserError(
            f"{'; '.join(failed)}. What is recorded is kept; the same command tries these again."
        )


class _Study:
    """The records of a study, and the folder in which its stages leave their results."""

    def __init__(self, config: StudyConfig) -> None:
        self._config, self._out = config, Path(config.out)
        settings = {
            "data": self._fingerprint(config.data),
            "video": config.video and self._fingerprint(config.video),
            "trials": config.trials,
            **{name: asdict(getattr(config, name)) for name in ("pretrain", "train", "plan")},
        }
        self._settings = json.loads(json.dumps(settings))  # as they are stored
        self.records = self._stored()

    def _fingerprint(self, data: str) -> str:
        links = self._config.allow_links_outside
        return Dataset.open(data, allow_links_outside=links).fingerprint()

    def _stored(self) -> list[dict[str, Any]]:
        """What is recorded, by whichever process."""
        if not self._path.exists():
            return []
        stored = json.loads(self._path.read_text())
        if changed := [k for k, v in self._settings.items() if stored["settings"].get(k) != v]:
            raise UserError(
                f"{self._path} is of a study with other settings ({', '.join(changed)}). "
                "Give another out, or delete that folder to start afresh."
            )
        records: list[dict[str, Any]] = stored["records"]
        return records

    def complete(self, arm: str, seed: int) -> None:
        """Pretrain, train, plan and record what is missing of an arm and seed."""
        config, folder = self._config, self._out / f"{arm}-{seed}"
        missing = [n for n in (None, *config.episodes) if not self._recorded(arm, seed, n)]
        if not missing:
            return
        encoder, latents = folder / "encoder", folder / "latents"
        pretraining = self._pretraining(arm, seed, encoder)
        spent = {"pretrain": stage(encoder, partial(run_pretraining, pretraining)).minutes}
        for episodes in missing:
            name = "all" if episodes is None else str(episodes)
            world = folder / f"world-{name}"
            training = replace(
                self._training(seed, encoder, world), episodes=episodes, cache=str(latents)
            )
            minutes = spent | {"train": stage(world, partial(run_training, training)).minutes}
            success: dict[str, Any] = {}
            for appearance in config.worn:
                plan = folder / f"plan-{name}-{appearance}"
                minutes[appearance], success[appearance] = stage(
                    plan, partial(self._success, plan, world, appearance, seed)
                )
            self._record(
                {
                    "arm": arm,
                    "seed": seed,
                    "episodes": episodes,
                    "probe": _probe(encoder),
                    "open_loop": _open_loop(world),
                    "success": success,
                    "minutes": minutes,
                }
            )
        shutil.rmtree(latents, ignore_errors=True)

    def _pretraining(self, arm: str, seed: int, out: Path) -> PretrainConfig:
        config = self._config
        settings = ARMS[arm].applied(config.pretrain)
        return replace(
            settings,
            data=config.video or config.data,
            out=str(out),
            cache=config.cache,
            allow_links_outside=config.allow_links_outside,
            training=replace(settings.training, seed=seed),
        )

    def _training(self, seed: int, encoder: Path, out: Path) -> TrainConfig:
        config, predictor = self._config, self._config.train.predictor
        return replace(
            config.train,
            data=config.data,
            out=str(out),
            allow_links_outside=config.allow_links_outside,
            encoder_checkpoint=str(encoder),
            predictor=replace(predictor, training=replace(predictor.training, seed=seed)),
        )

    def _success(self, out: Path, world: Path, appearance: str, seed: int) -> dict[str, Any]:
        trials, plan = self._config.trials, self._config.plan
        report = planned(
            out,
            replace(plan, appearance=appearance),
            Machine(str(world), plan.device, plan.dtype or "auto", plan.threads),
            episodes=trials,
            seed=seed * trials,
            batch=plan.batch,
        )
        outcomes = [episode["success"] for episode in report["episodes"]]
        return {**final_success(report), "outcomes": outcomes}

    def _recorded(self, arm: str, seed: int, episodes: int | None) -> bool:
        wanted = (arm, seed, episodes)
        return any(
            (r["arm"], r["seed"], r["episodes"]) == wanted
            and set(self._config.worn) <= set(r["success"])
            for r in self.records
        )

    def _record(self, record: dict[str, Any]) -> None:
        key = ("arm", "seed", "episodes")
        # What another process records meanwhile is not to be written over.
        with locked(self._out / ".lock", f"Another process writes {self._path}; waiting for it"):
            others = [r for r in self._stored() if any(r[k] != record[k] for k in key)]
            self.records = [*others, record]
            write_json(
                self._path,
                {
                    "settings": self._settings,
                    "summary": summary(self.records),
                    "records": self.records,
                },
            )

    @property
    def _path(self) -> Path:
        return self._out / "study.json"


def _probe(encoder: Path) -> dict[str, float]:
    """What the last probe of a pretraining found."""
    entries = map(json.loads, (encoder / "metrics.jsonl").read_text().splitlines())
    *_, last = (entry for entry in entries if "rank" in entry)
    return {name: value for name, value in last.items() if name != "step"}


def _open_loop(world: Path) -> dict[str, Any]:
    return json.loads((world / "config.json").read_text())["record"]["validation"]
