"""``worldmodel study``: what pretraining the encoder is worth, arm by arm and seed by seed.

Every arm is `pretrain`, `train` and `plan` with a few keys of its own, so that whatever differs
between two arms is named here.
"""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from omegaconf import MISSING
from pydantic.dataclasses import dataclass

from worldmodel.cli.configuration import composed, load, typed
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.envs import APPEARANCES
from worldmodel.errors import UserError
from worldmodel.files.atomic import write_json
from worldmodel.files.locks import locked
from worldmodel.settings import CHECKED, Count, NonEmpty, Seed
from worldmodel.studies.encoders_table import summary, table
from worldmodel.studies.stages import stage

__all__ = ["ARMS", "StudyConfig", "compare_encoders"]

_NO_TERMS = ("training.variance_weight=0", "training.covariance_weight=0")

ARMS: dict[str, tuple[str, ...]] = {
    "pixels": ("encoder.depth=0", "training.steps=0"),
    "random": ("training.steps=0",),
    "vjepa": _NO_TERMS,
    "vjepa_vicreg": (),
    "vjepa_sigreg": (*_NO_TERMS, "training.sigreg_weight=0.1"),
    "lewm": ("training=lewm", "frame_stride=2"),
}
"""Keys of ``pretrain`` by arm; they follow those of the user and so outweigh them."""


@dataclass(frozen=True, config=CHECKED)
class StudyConfig:
    """What to compare, on what, and how thoroughly.

    Keys of the three commands are given in one quoted word: ``"train='holdout=0.2 episodes=100'"``.

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
        appearances: Where to plan.
        trials: Episodes planned per appearance and seed.
        pretrain: Keys of `worldmodel pretrain` for every arm.
        train: Keys of `worldmodel train`.
        plan: Keys of `worldmodel plan`.
        cache: Folder of the decoded frames. Latents are removed when an arm is done with them.
    """

    data: str = MISSING
    video: str | None = None
    allow_links_outside: bool = False
    out: str = MISSING
    arms: NonEmpty[str] = tuple(ARMS)
    seeds: NonEmpty[Seed] = (0, 1, 2)
    episodes: tuple[Count, ...] = ()
    appearances: NonEmpty[str] = ("plain", "rich")
    trials: Count = 100
    pretrain: str = ""
    train: str = ""
    plan: str = ""
    cache: str = "runs/cache"

    def __post_init__(self) -> None:
        for name, known in (("arms", tuple(ARMS)), ("appearances", APPEARANCES)):
            if unknown := [value for value in getattr(self, name) if value not in known]:
                raise ValueError(f"Expected {name} among {', '.join(known)}, got {unknown[0]!r}.")


def compare_encoders(config: StudyConfig) -> None:
    """Run what is not recorded yet, then print the table.

    An arm that fails does not stop the others.

    Raises:
        UserError: A key is unknown, the folder holds a study with other settings, or an arm failed.
    """
    _check_stages(config)  # hours before it is their turn
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


def _check_stages(config: StudyConfig) -> None:
    """Raise a UserError where a stage would refuse its keys."""
    last = max(config.seeds) * config.trials
    stages = [("pretrain", ["data=data", *ARMS[arm]]) for arm in config.arms]
    for command, own in (*stages, ("train", ["data=data"]), ("plan", [f"seed={last}"])):
        load(command)
        typed(composed(command, ["out=out", *shlex.split(getattr(config, command)), *own]))


class _Study:
    """The records of a study, and the folder in which its stages leave their results."""

    def __init__(self, config: StudyConfig) -> None:
        self._config, self._out = config, Path(config.out)
        self._settings = {
            "data": self._fingerprint(config.data),
            "video": config.video and self._fingerprint(config.video),
            **{name: getattr(config, name) for name in ("trials", "pretrain", "train", "plan")},
        }
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
        data = f"data={config.data}"
        links = f"allow_links_outside={config.allow_links_outside}"
        keys = [f"training.seed={seed}", f"cache={config.cache}", "training.min_rank=0"]
        words = [f"data={config.video or config.data}", links, *shlex.split(config.pretrain)]
        words += [*ARMS[arm], *keys]
        spent = {"pretrain": stage("pretrain", encoder, words)}
        for episodes in missing:
            name = "all" if episodes is None else str(episodes)
            world = folder / f"world-{name}"
            words = [data, links, *shlex.split(config.train), f"encoder_checkpoint={encoder}"]
            words += [f"predictor.training.seed={seed}", f"cache={latents}"]
            if episodes is not None:
                words.append(f"episodes={episodes}")
            minutes = spent | {"train": stage("train", world, words)}
            success: dict[str, Any] = {}
            for appearance in config.appearances:
                plan = folder / f"plan-{name}-{appearance}"
                words = [
                    *shlex.split(config.plan),
                    f"appearance={appearance}",
                    f"checkpoint={world}",
                ]
                words += [f"episodes={config.trials}", f"seed={seed * config.trials}", "videos=0"]
                minutes[appearance] = stage("plan", plan, words)
                success[appearance] = _success(plan)
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

    def _recorded(self, arm: str, seed: int, episodes: int | None) -> bool:
        wanted = (arm, seed, episodes)
        return any(
            (r["arm"], r["seed"], r["episodes"]) == wanted
            and set(self._config.appearances) <= set(r["success"])
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


def _success(plan: Path) -> dict[str, Any]:
    report = json.loads((plan / "report.json").read_text())
    outcomes = [episode["success"] for episode in report["episodes"]]
    return {**report["success"]["final"], "outcomes": outcomes}
