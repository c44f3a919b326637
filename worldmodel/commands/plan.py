"""``worldmodel plan``: plan episodes to goal images, and report how many end where they should."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any

import torch
from omegaconf import MISSING
from pydantic.dataclasses import dataclass

import worldmodel as wm
from worldmodel.agents.agent import time_to_plan
from worldmodel.devices import known_precision
from worldmodel.envs import check_appearance
from worldmodel.evaluation.baselines import chosen
from worldmodel.evaluation.episodes import environments
from worldmodel.evaluation.evaluate import NO_BASELINES
from worldmodel.evaluation.image_files import as_paths, read_goals
from worldmodel.evaluation.oracle import OracleConfig
from worldmodel.evaluation.report import report_bytes
from worldmodel.files.results import Results
from worldmodel.settings import CHECKED, AnyCount, Batch, Coordinate, Count, Positive, Seed, Threads
from worldmodel.weights.world import image_size_of

__all__ = ["Config", "run"]


@dataclass(frozen=True, config=CHECKED)
class Config:
    """Which episodes to plan, how, and what to report them against.

    Attributes:
        out: Folder of report.json, report.html and videos/.
        task: Task, budget and energies (group).
        planner: Search settings (group).
        appearance: ``plain``, or ``rich`` for another appearance in every episode.
        split: Of rich appearances: ``test``, or those that data for ``train`` are made of.
        checkpoint: Folder of a world checkpoint, or ``default``.
        episodes: How many.
        seed: Of the first episode, and of the search.
        device: Such as ``cpu`` or ``cuda``.
        dtype: To imagine in: ``float32``, ``bfloat16``, or ``auto``: the latter for worlds of patch
            tokens on a GPU that has it.
        compile: Plan with what ``torch.compile`` makes of world and energies.
        threads: CPU threads of the model; small models gain nothing from a second one.
        budget_ms: Milliseconds that a plan may take; null: no limit, or what ``hz`` leaves.
        hz: Control steps per second, in which the arm acts while a thread of its own plans; null:
            the simulator waits for every plan.
        batch: Episodes planned at once; with more than 1, plan times are those of a whole batch.
        videos: Episodes, from the first on, to write an mp4 of; null for all.
        camera_pose: Where the camera stands, xyz (m) and Euler angles (rad); for worlds trained
            with ``predictor.model.extrinsics=true``.
        goal: Path of an image to pursue in place of the task's goal, or a list, sub-goals first.
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
        check_appearance(self.appearance, self.split)
        chosen(self.baselines)
        if as_paths(self.goal) and self.baselines:
            raise ValueError(NO_BASELINES)


def run(cfg: Config) -> float | None:
    """Plan the episodes, run the baselines, write the reports and print the figures.

    Returns:
        The success rate, settled at the end; None for a goal that nobody judges.
    """
    Results(Path(cfg.out), report_bytes(cfg.episodes, cfg.task.budget_steps)).release()
    torch.set_num_threads(cfg.threads)
    size = image_size_of(cfg.checkpoint)
    count = min(cfg.batch, cfg.episodes)
    with environments(cfg.task.name, count, size, cfg.appearance, cfg.split) as made:
        agent = wm.make_agent(
            cfg.checkpoint,
            made[0],
            task=cfg.task,
            planner=cfg.planner,
            budget_ms=time_to_plan(cfg.budget_ms, cfg.hz),
            device=cfg.device,
            dtype=cfg.dtype,
            compile=cfg.compile,
            camera_pose=cfg.camera_pose,
        )
        report = wm.evaluate(
            agent,
            made,
            episodes=cfg.episodes,
            seed=cfg.seed,
            baselines=cfg.baselines,
            goals=read_goals(as_paths(cfg.goal), cfg.task.stage_steps, size),
            hz=cfg.hz,
            out=cfg.out,
            videos=cfg.videos,
            random_world=cfg.random_encoder_checkpoint,
            oracle=cfg.oracle,
            baseline_batch=cfg.baseline_batch,
        )
    print(report)
    print(f"report: {cfg.out}/report.html   videos: {cfg.out}/videos")
    return report.success and report.success.rate
