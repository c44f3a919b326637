"""Recording episodes of a behaviour in an environment as a LeRobotDataset v3.0."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import MISSING
from pydantic.dataclasses import dataclass

from worldmodel.agents.slips import Slips, find_slips
from worldmodel.agents.task import TaskConfig
from worldmodel.data.collection import collect_episodes
from worldmodel.data.episode import Episode
from worldmodel.data.recording import CheckedRecording, Recording, checked
from worldmodel.data.specification import write_dataset_spec
from worldmodel.errors import UserError
from worldmodel.presets import TaskOption
from worldmodel.settings import CHECKED, Count, Pixels, Seed, Share, Threads, configured
from worldmodel.spec import Spec, SpecChanges

__all__ = ["CollectConfig", "collect", "run_collection"]


@dataclass(frozen=True, config=CHECKED)
class CollectConfig:
    """What to collect and where.

    Attributes:
        env: Environment, as `worldmodel.make_env` takes it; None for the built-in arm's ``task``.
        policy: What acts: ``scripted`` for what the environment does to explore, ``random``,
            ``smooth``, or ``module:function`` (`worldmodel.agents.behaviour`).
        repeat: Environment steps for which an action is held; None for the environment's own.
        chunked: Record a chunk instead, an action for each of these steps.
        slips: Share of control steps at which the script's gripper slips, if actions name one: it
            opens or closes by itself for up to four of them (`worldmodel.agents.slips`).
        spec: What actions and states mean, where the environment does not say so.
        task: Whose scene and exploration behaviour (group), of the built-in arm.
        episodes: How many episodes; more than are there extends the dataset.
        length: Control steps per episode, at most.
        image_size: Height and width of the frames; None for the environment's own.
        appearance: ``plain``, ``rich`` for another look in every episode, of those for training, or
            ``both`` by turns; of the built-in arm.
        also: Further tasks; scenes and behaviours take turns from episode to episode.
        out: Folder of the dataset. A killed run continues there.
        seed: Episode i has seed ``seed + i``.
        workers: Parallel processes; None for one per CPU core.
    """

    task: TaskOption = field(default_factory=TaskConfig)
    episodes: Count = 1600
    length: Count = 50
    image_size: Pixels | None = None
    appearance: str = "plain"
    also: tuple[str, ...] = ()
    out: str = MISSING
    seed: Seed = 0
    workers: Threads | None = None
    env: str | None = None
    policy: str = "scripted"
    repeat: Count | None = None
    chunked: bool = False
    slips: Share = 0.0
    spec: SpecChanges = field(default_factory=SpecChanges)


def run_collection(cfg: CollectConfig) -> None:
    """Collects what is missing of the dataset.

    Raises:
        UserError: A value is out of range, the environment lacks what is asked for, or as
            `worldmodel.data.collection.collect_episodes`.
    """
    # MuJoCo is slow to import, and only this command and `plan` need it.
    from worldmodel import envs
    from worldmodel.agents.behaviour import behaviour
    from worldmodel.agents.environment import contract, make_env

    # The built-in arm's own recorder starts anywhere, and knows where the objects are.
    built_in = (cfg.env is None or cfg.env in envs.TASKS) and cfg.repeat in (None, 1)
    names = tuple(dict.fromkeys((cfg.env or cfg.task.name, *cfg.also)))
    if built_in and cfg.policy == "scripted":
        _check_built_in(names, cfg.appearance, cfg.slips)
    elif (cfg.also, cfg.appearance) != ((), "plain"):
        raise UserError(
            f"Expected also and appearance for the built-in arm's script only, got env={names[0]} "
            f"policy={cfg.policy}; leave them out"
        )
    if cfg.slips and cfg.policy != "scripted":
        raise UserError(
            f"Expected slips of policy=scripted only, got policy={cfg.policy}; leave them out"
        )
    env = make_env(names[0], image_size=cfg.image_size, repeat=cfg.repeat, chunked=cfg.chunked)
    try:
        spec = contract(env, cfg.spec)
        env.reset(seed=cfg.seed)
        slips = find_slips(spec, cfg.slips)
        next(behaviour(cfg.policy, slips)(env, np.random.default_rng(cfg.seed)))
        if cfg.slips and slips is None:
            print(f"nothing slips: no gripper among actions {', '.join(spec.actions.names)}")
    finally:
        env.close()  # what every worker would refuse has been refused here
    if built_in and cfg.policy == "scripted":
        labels: Sequence[str] = envs.labels(names, cfg.appearance)
        make: Callable[[int], Episode] = partial(
            envs.collect_episode,
            names,
            length=cfg.length,
            image_size=cfg.image_size or spec.cameras[0].height,
            appearance=cfg.appearance,
            split="train",
        )
    else:
        labels = names
        shape = (names[0], cfg.image_size, cfg.repeat, cfg.chunked)
        make = partial(_record, shape, cfg.policy, slips, cfg.length)
    _write(cfg, spec, labels, make)
    print(f"{cfg.episodes} episodes of {', '.join(names)} are in {cfg.out}")


collect = configured(CollectConfig)(run_collection)


def _write(
    cfg: CollectConfig, spec: Spec, labels: Sequence[str], make: Callable[[int], Episode]
) -> None:
    # As before these settings.
    usual = (cfg.env, cfg.policy, cfg.repeat) == (None, "scripted", None)
    collect_episodes(
        Path(cfg.out),
        cfg.episodes,
        make,
        tasks=labels,
        length=cfg.length,
        fps=spec.rate or 1.0,  # the files need a rate; the spec beside says that it is unknown
        workers=len(os.sched_getaffinity(0)) if cfg.workers is None else cfg.workers,
        seed=cfg.seed,
        camera=spec.cameras[0].name,
        robot="panda" if spec.composed else None,
        names={"action": spec.actions.names, "observation.state": spec.states.names},
        settings={
            "image_size": spec.cameras[0].height,
            "appearance": cfg.appearance,
            **({} if usual else {"policy": cfg.policy, "repeat": spec.repeat}),
            **({"chunked": True} if cfg.chunked else {}),
            **({"slips": cfg.slips} if cfg.slips else {}),
        },
        beside=partial(write_dataset_spec, spec=spec),
    )


def _check_built_in(tasks: Sequence[str], appearance: str, slips: float) -> None:
    from worldmodel import envs

    if slips:
        raise UserError(
            f"Expected no slips of the built-in arm's own script, got {slips}; leave them out, or "
            "give env=…"
        )
    for task in tasks:
        if task not in envs.TASKS:
            raise UserError(
                f"Expected task among {', '.join(envs.TASKS)}, got '{task}'; collect of another "
                "environment with env=…"
            )
    if appearance not in (appearances := (*envs.APPEARANCES, "both")):
        raise UserError(f"Expected appearance among {', '.join(appearances)}, got '{appearance}'.")


def _record(
    shape: tuple[str, int | None, int | None, bool],
    policy: str,
    slips: Slips | None,
    length: int,
    seed: int,
) -> CheckedRecording:
    """One episode of a behaviour, in a process of its own."""
    from worldmodel.agents.behaviour import behaviour
    from worldmodel.agents.environment import contract
    from worldmodel.agents.views import recorded

    env = _environment(*shape)
    observation, _ = env.reset(seed=seed)
    acting = behaviour(policy, slips)(env, np.random.default_rng(seed))
    seen, actions = [], []
    for _ in range(length):
        seen.append(observation)
        action, observation, over = next(acting)
        actions.append(action)
        if over:
            break
    states = [np.asarray(o.get("state", ()), np.float32) for o in seen]
    frames = recorded(seen, contract(env))
    episode = Recording(frames, np.stack(actions), np.stack(states), shape[0])
    return checked(episode, seed)


@lru_cache(maxsize=1)  # of this process
def _environment(name: str, image_size: int | None, repeat: int | None, chunked: bool) -> Any:
    from worldmodel.agents.environment import make_env

    return make_env(name, image_size=image_size, repeat=repeat, chunked=chunked)
