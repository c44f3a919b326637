"""``worldmodel diagnose``: what every goal energy knows of the true way to a goal.

Three questions, on unseen tasks, in appearance that was and was not trained on:

- Does it fall along solved episodes? On the expert's frames: how often it is lower a few steps
  later, and its rank correlation with the steps that remain.
- Does it rank candidates as the simulator would? From states along noisy solutions, candidates are
  carried out; the energies of where they lead, as truly seen and as imagined, are correlated with
  the steps that the expert would still need from there.
- Is it calibrated? Of energies that count steps: predicted minus true remaining steps.

Privileged: it reads the simulator's state and its expert. Nothing of it reaches planning, and no
part of a world is trained by it.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import MISSING
from pydantic.dataclasses import dataclass
from tqdm import tqdm

from worldmodel.agents.environment import Environment, contract
from worldmodel.agents.planner import Bounds
from worldmodel.agents.world import CameraWorld
from worldmodel.diagnostics.agreement import Ruler, episode_figures, summary, table
from worldmodel.diagnostics.agreement_figure import drawn
from worldmodel.diagnostics.readings import Reading, goal_energies, read
from worldmodel.diagnostics.trials import Trial, run_trial
from worldmodel.dynamics.vector.value import ValueTraining
from worldmodel.envs import TASKS, check_appearance
from worldmodel.errors import UserError
from worldmodel.evaluation.episodes import SEED_OFFSET
from worldmodel.evaluation.parallel import simulator
from worldmodel.files.atomic import write_json
from worldmodel.files.results import Results, write_png
from worldmodel.settings import CHECKED, Count, Frames, ProperShare, Seed, Several
from worldmodel.weights.world import identity, read_world

__all__ = ["DiagnoseConfig", "diagnose"]

_PRIVILEGED = "reads the simulator's state and its scripted expert; nothing of it reaches planning"


@dataclass(frozen=True, config=CHECKED)
class DiagnoseConfig:
    """Which tasks, and how closely to look.

    Attributes:
        out: Folder of diagnosis.json and diagnosis.png.
        task: Task, and whether the arm counts for its goals (group).
        env: Environment, as `worldmodel.make_env` takes it, that is a
            `worldmodel.envs.protocol.Simulator`; None for that of the task. With it,
            ``task=goal_image`` is the default.
        checkpoint: Folder of a world checkpoint, or ``default``.
        scenes: Appearances to look in: ``plain``, ``rich/train`` or ``rich/test``; None for all
            that the environment has.
        episodes: Tasks.
        seed: Of the first, as in ``worldmodel plan``.
        forks: States of a task from which candidates are tried.
        candidates: Tried from each.
        horizon: Control steps of a candidate.
        window: Control steps after which an energy should have fallen.
        limit: Control steps after which the expert gives up; costs beyond it are not told apart.
        discount: That the value was trained with.
    """

    out: str = MISSING
    task: Any = MISSING
    env: str | None = None
    checkpoint: str = "default"
    scenes: tuple[str, ...] | None = None
    episodes: Count = 20
    seed: Seed = 0
    forks: Count = 3
    candidates: Several = 24
    horizon: Frames = 8
    window: Count = 4
    limit: Count = 60
    discount: ProperShare = ValueTraining.discount

    def __post_init__(self) -> None:
        if self.scenes == ():
            raise ValueError("Expected a scene or more, such as scenes=[plain,rich/test], got none")
        for scene in self.worn:
            check_appearance(*_appearance(scene))
            if scene != "plain" and self.env not in (None, *TASKS):
                raise ValueError(
                    f"Expected scenes=[plain] with env={self.env}, as only the built-in arm has "
                    f"others; got {scene}"
                )

    @property
    def name(self) -> str:
        """Name of the environment."""
        return self.env or str(self.task.name)

    @property
    def worn(self) -> tuple[str, ...]:
        """Scenes to look in."""
        known = ("plain", "rich/train", "rich/test")
        return self.scenes or (known if self.env in (None, *TASKS) else known[:1])


def _appearance(scene: str) -> tuple[str, str]:
    """Appearance and split, as ``envs.make`` takes them."""
    appearance, _, split = scene.partition("/")
    return appearance, split or "test"


@torch.inference_mode()
def diagnose(cfg: DiagnoseConfig) -> None:
    """Solve the tasks once, look at them in every appearance, print, write and draw what is found.

    Raises:
        UserError: The checkpoint or the output folder cannot be used, the horizon does not fit the
            world, or the expert solves none of the tasks.
    """
    results = Results(Path(cfg.out))
    torch.set_num_threads(1)
    world = read_world(cfg.checkpoint)
    if cfg.horizon % world.stride:
        raise UserError(
            f"expected a horizon that is a multiple of the world's stride of {world.stride} "
            f"control steps, got {cfg.horizon}"
        )
    trials = _trials(cfg, world.image_size)
    readings = {scene: _readings(cfg, world, scene, trials) for scene in cfg.worn}
    ruler = Ruler(cfg.window, world.stride, cfg.discount, cfg.limit / world.stride)
    scenes = {scene: summary(seen, ruler) for scene, seen in readings.items()}
    report = {
        "privileged": _PRIVILEGED,
        "task": asdict(cfg.task) | {"name": cfg.name},
        "n": len(trials),
        "left_out": cfg.episodes - len(trials),
        "seeds": [trial.seed for trial in trials],
        "seed_offset": SEED_OFFSET,
        "true_cost": f"control steps of the scripted expert to success, at most {cfg.limit}",
        "settings": {
            name: getattr(cfg, name)
            for name in ("forks", "candidates", "horizon", "window", "limit", "discount")
        },
        "checkpoint": identity(cfg.checkpoint),
        "scenes": scenes,
        "episodes": {
            scene: [episode_figures(reading, ruler) for reading in seen]
            for scene, seen in readings.items()
        },
    }
    results.write("diagnosis.json", partial(write_json, content=report))
    results.write("diagnosis.png", partial(write_png, figure=drawn(scenes, readings, ruler)))
    print(f"{cfg.name}: n = {len(trials)} · {_PRIVILEGED}")
    print(table(scenes))
    results.finish()
    out = results.out
    print(f"report: {out / 'diagnosis.json'}   picture: {out / 'diagnosis.png'}")


def _trials(cfg: DiagnoseConfig, image_size: int) -> list[Trial]:
    """The tasks that the expert solves; how they look, which comes later, does not change them."""
    solved: list[Trial] = []
    with simulator((cfg.name, image_size, "plain", "test"), "diagnose") as env:
        bounds = Bounds.of(contract(cast(Environment, env)).actions)
        for seed in tqdm(range(cfg.seed, cfg.seed + cfg.episodes), desc="solve", unit="episode"):
            trial = run_trial(
                env,
                seed,
                forks=cfg.forks,
                candidates=cfg.candidates,
                horizon=cfg.horizon,
                limit=cfg.limit,
                bounds=bounds,
                active_dims=cfg.task.active_dims,
            )
            if trial is not None:
                solved.append(trial)
    if not solved:
        raise UserError(f"the expert solved none of {cfg.episodes} tasks; use another seed=…")
    return solved


def _readings(
    cfg: DiagnoseConfig, world: CameraWorld, scene: str, trials: list[Trial]
) -> list[Reading]:
    energies = goal_energies(world, cfg.task)
    with simulator((cfg.name, world.image_size, *_appearance(scene)), "diagnose") as env:
        return [
            read(env, world, energies, trial) for trial in tqdm(trials, desc=scene, unit="episode")
        ]
