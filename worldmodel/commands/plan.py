"""``worldmodel plan``: plan episodes to goal images, and report how many end where they should."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import MISSING
from pydantic.dataclasses import dataclass
from tqdm import tqdm

from worldmodel.agents.hierarchy import action_search
from worldmodel.agents.policies import (
    CameraWorld,
    Policy,
    place_camera,
    planning_agent,
    real_time,
    require_arm,
)
from worldmodel.agents.task import TaskConfig
from worldmodel.devices import (
    known_precision,
    precision,
    require_compiler,
    usable_device,
)
from worldmodel.envs import CONTROL_HZ, TabletopEnv, check_appearance
from worldmodel.errors import UserError
from worldmodel.evaluation.baselines import (
    BASELINES,
    SIMULATED,
    NotApplicableError,
    Setting,
    chosen,
)
from worldmodel.evaluation.episodes import (
    SEED_OFFSET,
    Episode,
    Image,
    environments,
    evaluate,
    paired_summary,
    success_summary,
)
from worldmodel.evaluation.image_files import read_image
from worldmodel.evaluation.oracle import OracleConfig
from worldmodel.evaluation.parallel import evaluate_apart
from worldmodel.evaluation.report import (
    SHOWN,
    closing_table,
    episode_record,
    nonfinite,
    over_budget,
    plan_times,
    real_time_summary,
    unsearched,
    video_name,
    write_html,
)
from worldmodel.evaluation.video import write_video
from worldmodel.files.atomic import write_json
from worldmodel.files.results import Results
from worldmodel.planners import RateTimer
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.settings import CHECKED, AnyCount, Batch, Coordinate, Count, Positive, Seed, Threads
from worldmodel.weights.checkpoint import checkpoint_sha256
from worldmodel.weights.world import checkpoint_folder, load_world

__all__ = ["PlanConfig", "run"]

_PAGE_BYTES, _SHOWN_BYTES = 200_000, 60_000  # of report.html: charts, and pictures of an episode
_EPISODE_BYTES, _STEP_BYTES = 1_000, 40  # of report.json
_SHARE_OF_SLOT = 0.9  # that a plan may take; the rest is for what a search cannot foresee


@dataclass(frozen=True, config=CHECKED)
class PlanConfig:
    """Which episodes to plan, how, and what to report them against.

    Attributes:
        out: Folder of report.json, report.html and videos/.
        task: Task, budget and energies (group).
        planner: Search settings (group).
        appearance: ``plain``, or ``rich`` for another look in every episode.
        split: Which rich looks: those for ``test``, or those that data for ``train`` are made of.
        checkpoint: Folder of a world checkpoint, or ``default``.
        episodes: How many.
        seed: Of the first episode, and of the search.
        device: Such as ``cpu`` or ``cuda``.
        dtype: To imagine in: ``float32``, ``bfloat16``, or ``auto``, which is the latter for worlds
            of patch tokens on a GPU that has it. Images are read in float32 on every CPU.
        compile: Plan with what ``torch.compile`` makes of world and energies: the first plan then
            takes up to a minute, or seconds with patch tokens. It needs a C++ compiler.
        threads: CPU threads of the model; small models gain nothing from a second one.
        budget_ms: Milliseconds that a plan may take, from images in to actions out; null: no limit,
            or what ``hz`` leaves.
        hz: Control steps per second of the clock on the wall, in which the arm acts while a thread
            of its own plans (docs/planners.md); null: the simulator waits for every plan.
        batch: Episodes planned at once; with more than 1, plan times are those of a whole batch.
        videos: Episodes, from the first on, to write an mp4 of; None for all.
        camera_pose: Where the camera stands, xyz (m) and Euler angles (rad); for worlds trained
            with ``predictor.model.extrinsics=true``.
        goal: Path of an image to pursue in place of the task's goal, or a list of them, sub-goals
            first, with ``task.stage_steps``; success is then unknown.
        baselines: Names of baselines to run on the same episodes, or ``[all]``.
        baseline_batch: Episodes at once for the baselines.
        random_encoder_checkpoint: World checkpoint on an untrained encoder, for that baseline.
        oracle: How much to compute of the baselines that are given the simulator.
    """

    out: str = MISSING
    task: Any = MISSING
    planner: Any = MISSING
    appearance: str = "plain"
    split: str = "test"
    checkpoint: str = "default"
    episodes: Count = 100
    seed: Seed = 0
    device: str = "cpu"
    dtype: str = "auto"
    compile: bool = False
    threads: Threads = 1
    budget_ms: Positive | None = None
    hz: Positive | None = None
    batch: Batch = 1
    videos: AnyCount | None = None
    camera_pose: tuple[Coordinate, ...] = ()
    goal: Any = None
    baselines: tuple[str, ...] = ()
    baseline_batch: Batch = 10
    random_encoder_checkpoint: str | None = None
    oracle: OracleConfig = field(default_factory=OracleConfig)

    def __post_init__(self) -> None:
        known_precision(self.dtype)
        if self.hz is not None and self.batch != 1:
            raise ValueError(
                "Expected batch=1 with hz, for an arm has a clock of its own; got "
                f"hz={self.hz:g} and batch={self.batch}"
            )
        check_appearance(self.appearance, self.split)
        chosen(self.baselines)
        known = all(isinstance(path, str) for path in self.goals)
        if self.goal is not None and not (self.goals and known):
            raise ValueError(f"Expected goal to be a path or a list of paths, got {self.goal}")
        if self.goal is not None and self.baselines:
            raise ValueError(
                "Expected no baselines beside goal=…: they are compared by success, and nobody "
                "knows whether a user's goal image is reached"
            )

    @property
    def limit_ms(self) -> float | None:
        """Milliseconds that a plan may take; None for any."""
        if self.budget_ms is None and self.hz is not None:
            return _SHARE_OF_SLOT * 1e3 / self.hz
        return self.budget_ms

    @property
    def goals(self) -> tuple[str, ...]:
        """Paths of the user's goal images, sub-goals first; () for the task's own goal."""
        if self.goal is None:
            return ()
        return tuple(self.goal) if isinstance(self.goal, list | tuple) else (self.goal,)


def run(cfg: PlanConfig) -> float | None:
    """Plan the episodes, run the baselines, write the reports and print the figures.

    Returns:
        The success rate, settled at the end; None for a goal that nobody judges.

    Raises:
        UserError: The checkpoint, the goal image or the output folder cannot be used.
    """
    results = Results(Path(cfg.out), _least(cfg))
    if cfg.compile:
        require_compiler()
    torch.set_num_threads(cfg.threads)
    world = _world(cfg, cfg.checkpoint)
    goals = read_goals(cfg.goals, cfg.task.stage_steps, world.image_size) if cfg.goals else None
    task: TaskConfig = cfg.task
    seeds = range(cfg.seed, cfg.seed + cfg.episodes)

    episodes: list[Episode] = []
    with (
        _environments(cfg, world, min(cfg.batch, cfg.episodes)) as made,
        _acting(cfg, world) as policy,
    ):
        evaluated = evaluate(
            policy,
            made,
            seeds,
            task,
            search_seed=cfg.seed,
            goals=goals,
            keep_frames=cfg.episodes if cfg.videos is None else cfg.videos,
            timer=None if cfg.hz is None else RateTimer(cfg.hz),
        )
        for episode in _watched(evaluated, f"plan {task.name}", len(seeds)):
            if episode.frames is not None:
                write = partial(write_video, episode=episode, fps=CONTROL_HZ)
                results.write(f"videos/{video_name(len(episodes))}", write)
            episodes.append(episode)
    baselines = _baselines(cfg, world, task, seeds, episodes)
    success = success_summary(episodes)
    report: dict[str, Any] = {
        "task": task.name,
        "n": len(episodes),
        "seed": cfg.seed,
        "budget_steps": task.budget_steps,
        "success": success,
        "baselines": baselines,
        "plan_ms": plan_times(episodes),
        "over_budget": over_budget(episodes, cfg.limit_ms),
        "unsearched": unsearched(episodes),
        "nonfinite": nonfinite(episodes),
        "real_time": real_time_summary(episodes, cfg.hz),
        "planner": asdict(cfg.planner),
        "checkpoint": {
            "name": cfg.checkpoint,
            "sha256": checkpoint_sha256(checkpoint_folder(cfg.checkpoint)),
        },
        "protocol": {
            **asdict(task),
            "goal_source": "the task's scripted behaviour" if cfg.goal is None else cfg.goal,
            "seed_offset": SEED_OFFSET,
            "appearance": cfg.appearance,
            "split": cfg.split if cfg.appearance == "rich" else None,
            "batch": cfg.batch,
            "budget_ms": cfg.limit_ms,
            "threads": cfg.threads,
            "compile": cfg.compile,
            "dtype": str(precision(cfg.dtype, world)).removeprefix("torch."),
            "plan_ms": "from images in to actions out, per plan; the process' first is left out",
        },
        "episodes": [episode_record(episode) for episode in episodes],
    }
    results.release()
    results.write("report.json", partial(write_json, content=report))
    results.write("report.html", partial(write_html, report=report, episodes=episodes))
    print(closing_table(report))
    results.finish()
    print(f"report: {results.out / 'report.html'}   videos: {results.out / 'videos'}")
    return None if success is None else success["final"]["rate"]


def read_goals(paths: Sequence[str], stage_steps: Sequence[int], size: int) -> Image:
    """A user's goal images, ``uint8 [G, size, size, 3]``.

    Raises:
        UserError: They are not one more than the stages, or one of them cannot be used.
    """
    if len(paths) != len(stage_steps) + 1:
        raise UserError(
            f"Expected a number of steps for each of {len(paths)} goal image(s) but the last, got "
            f"task.stage_steps={list(stage_steps)}; give {len(paths) - 1}"
        )
    return np.stack([read_image("goal", Path(path), size) for path in paths])


def _world(cfg: PlanConfig, name: str) -> VectorWorld | TokenWorld:
    world = load_world(name).to(usable_device(cfg.device))
    require_arm(world, name)
    place_camera(world, cfg.camera_pose)
    world = world.imagine_in(precision(cfg.dtype, world))
    return world.fuse() if cfg.compile and isinstance(world, TokenWorld) else world


@contextmanager
def _acting(cfg: PlanConfig, world: CameraWorld) -> Iterator[Policy]:
    """The planner, in a thread of its own if the arm does not wait for it."""
    budget_s = None if cfg.limit_ms is None else cfg.limit_ms / 1e3
    agent = planning_agent(world, cfg.task, cfg.planner, budget_s, cfg.compile)
    if cfg.hz is None:
        yield agent
        return
    with real_time(agent, action_search(cfg.planner).receding_horizon) as policy:
        yield policy


def _environments(
    cfg: PlanConfig, world: CameraWorld, count: int
) -> AbstractContextManager[list[TabletopEnv]]:
    return environments(cfg.task.name, count, world.image_size, cfg.appearance, cfg.split)


def _baselines(
    cfg: PlanConfig,
    world: CameraWorld,
    task: TaskConfig,
    seeds: Sequence[int],
    planned: Sequence[Episode],
) -> dict[str, Any]:
    names = chosen(cfg.baselines)
    random_path = cfg.random_encoder_checkpoint
    random_world = _world(cfg, random_path) if random_path and "random_encoder" in names else None
    entries: dict[str, Any] = {}
    with _environments(cfg, world, min(cfg.baseline_batch, len(seeds))) as made:
        setting = Setting(
            world,
            task,
            cfg.planner,
            made,
            random_world,
            cfg.oracle,
            cfg.seed,
            appearance=cfg.appearance,
        )
        for name in names:
            facts: Mapping[str, Any] = {}
            try:
                if name in SIMULATED:
                    count = min(cfg.oracle.episodes, len(seeds))
                    policy_on, facts = SIMULATED[name](setting)
                    results = evaluate_apart(
                        policy_on,
                        seeds[:count],
                        task,
                        world.image_size,
                        cfg.appearance,
                        cfg.split,
                        workers=cfg.oracle.workers,
                        search_seed=cfg.seed,
                    )
                else:
                    count, policy = len(seeds), BASELINES[name](setting)
                    results = evaluate(policy, made, seeds, task, search_seed=cfg.seed)
                episodes = list(_watched(results, name, count))
            # The others' episodes are not to be lost to what one of them cannot plan with.
            except (NotApplicableError, FloatingPointError) as reason:
                skipped = dict.fromkeys(("success", "paired", "plan_ms"))
                entries[name] = {"n": 0, **skipped, "note": str(reason)}
                continue
            entries[name] = {
                "n": len(episodes),
                "success": success_summary(episodes),
                "paired": paired_summary(planned, episodes),
                "plan_ms": plan_times(episodes),
                "nonfinite": nonfinite(episodes),
                "outcomes": [episode.success for episode in episodes],
                **facts,
            }
    return entries


def _watched(episodes: Iterable[Episode], name: str, total: int) -> Iterator[Episode]:
    """The episodes behind a progress bar that tells how many were solved."""
    solved = judged = 0
    with tqdm(episodes, desc=name, total=total, unit="episode") as bar:
        for episode in bar:
            if episode.success is not None:
                judged += 1
                solved += episode.success
                bar.set_postfix_str(f"{solved}/{judged} solved")
            yield episode


def _least(cfg: PlanConfig) -> int:
    """Bytes that the two reports take, about."""
    page = _PAGE_BYTES + _SHOWN_BYTES * min(cfg.episodes, SHOWN)
    return page + cfg.episodes * (_EPISODE_BYTES + _STEP_BYTES * cfg.task.budget_steps)
