"""Recording exploration episodes of the built-in arm as a LeRobotDataset v3.0."""

from __future__ import annotations

import os
from dataclasses import field
from functools import partial
from pathlib import Path

from omegaconf import MISSING
from pydantic.dataclasses import dataclass

from worldmodel.agents.task import TaskConfig
from worldmodel.data.collection import collect_episodes
from worldmodel.errors import UserError
from worldmodel.presets import TaskOption
from worldmodel.settings import CHECKED, Count, Pixels, Seed, Threads, configured

__all__ = ["CollectConfig", "collect", "run_collection"]

_NAMES = {
    "action": ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "dgripper"],
    "observation.state": ["x", "y", "z", "roll", "pitch", "yaw", "gripper"],
}


@dataclass(frozen=True, config=CHECKED)
class CollectConfig:
    """What to collect and where.

    Attributes:
        task: Whose scene and exploration behaviour (group).
        episodes: How many episodes; more than are there extends the dataset.
        length: Control steps per episode.
        image_size: Height and width of the frames.
        appearance: ``plain``, ``rich`` for another look in every episode, of those for training, or
            ``both`` by turns.
        also: Further tasks; scenes and behaviours take turns from episode to episode.
        out: Folder of the dataset. A killed run continues there.
        seed: Episode i has seed ``seed + i``.
        workers: Parallel processes; None for one per CPU core.
    """

    task: TaskOption = field(default_factory=TaskConfig)
    episodes: Count = 1600
    length: Count = 50
    image_size: Pixels = 96
    appearance: str = "plain"
    also: tuple[str, ...] = ()
    out: str = MISSING
    seed: Seed = 0
    workers: Threads | None = None


def run_collection(cfg: CollectConfig) -> None:
    """Collects what is missing of the dataset.

    Raises:
        UserError: A value is out of range, or as `worldmodel.data.collection.collect_episodes`.
    """
    # MuJoCo is slow to import, and only this command and `plan` need it.
    from worldmodel.envs import APPEARANCES, CONTROL_HZ, TASKS, make
    from worldmodel.envs.tabletop.exploration import collect_episode, labels

    tasks = tuple(dict.fromkeys((cfg.task.name, *cfg.also)))
    for task in tasks:
        if task not in TASKS:
            raise UserError(
                f"Expected task among {', '.join(TASKS)}, got '{task}': exploration is of the "
                "built-in arm. Write episodes of another robot with worldmodel.write_dataset."
            )
    if cfg.appearance not in (appearances := (*APPEARANCES, "both")):
        raise UserError(
            f"Expected appearance among {', '.join(appearances)}, got '{cfg.appearance}'."
        )
    make(tasks[0], cfg.image_size).close()  # refuses here what every worker would refuse
    collect_episodes(
        Path(cfg.out),
        cfg.episodes,
        partial(
            collect_episode,
            tasks,
            length=cfg.length,
            image_size=cfg.image_size,
            appearance=cfg.appearance,
            split="train",
        ),
        tasks=labels(tasks, cfg.appearance),
        length=cfg.length,
        fps=CONTROL_HZ,
        workers=len(os.sched_getaffinity(0)) if cfg.workers is None else cfg.workers,
        seed=cfg.seed,
        robot="panda",
        names=_NAMES,
        settings={"image_size": cfg.image_size, "appearance": cfg.appearance},
    )
    print(f"{cfg.episodes} episodes of {', '.join(tasks)} are in {cfg.out}")


collect = configured(CollectConfig)(run_collection)
