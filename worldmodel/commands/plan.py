"""``worldmodel plan``: plan episodes to goal images, and report how many end where they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

import worldmodel as wm
from worldmodel.agents.agent import time_to_plan
from worldmodel.agents.world import look_at
from worldmodel.evaluation.episodes import environments
from worldmodel.evaluation.image_files import as_paths, read_goals
from worldmodel.evaluation.plan_config import PlanConfig as Config
from worldmodel.files.results import Results

__all__ = ["Config", "run"]


def run(cfg: Config) -> float | None:
    """Plan the episodes, run the baselines, write the reports and print the figures.

    Returns:
        The success rate, settled at the end; None for a goal that nobody judges.
    """
    Results(Path(cfg.out)).release()  # found out before any work
    torch.set_num_threads(cfg.threads)
    world = wm.load_world(
        cfg.checkpoint,
        device=cfg.device,
        dtype=cfg.dtype,
        compile=cfg.compile,
        camera_pose=cfg.camera_pose,
    )
    name = cfg.env or cfg.task.name
    count = min(cfg.batch, cfg.episodes)
    with environments(name, count, look_at(world), cfg.appearance, cfg.split) as made:
        agent = wm.make_agent(
            world,
            made[0],
            task=cfg.task if cfg.env is None else replace(cfg.task, name=cfg.env),
            planner=cfg.planner,
            budget_ms=time_to_plan(cfg.budget_ms, cfg.hz),
            compile=cfg.compile,
        )
        report = wm.evaluate(
            agent,
            made,
            episodes=cfg.episodes,
            seed=cfg.seed,
            baselines=cfg.baselines,
            goals=read_goals(as_paths(cfg.goal), cfg.task.stage_steps, agent.recipe.spec.cameras),
            goal_source=cfg.goal_source,
            goal_ahead=cfg.goal_ahead,
            policy=cfg.policy,
            success=cfg.success,
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
