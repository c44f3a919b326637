"""The settings of ``worldmodel plan``: which episodes to plan, how, and what to compare with."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any

from omegaconf import MISSING
from pydantic.dataclasses import dataclass

from worldmodel.devices import known_precision
from worldmodel.envs import check_appearance
from worldmodel.evaluation.baselines import chosen
from worldmodel.evaluation.evaluate import NO_BASELINES
from worldmodel.evaluation.goals import GOAL_SOURCES
from worldmodel.evaluation.image_files import as_paths
from worldmodel.evaluation.oracle import OracleConfig
from worldmodel.settings import (
    CHECKED,
    AnyCount,
    Batch,
    Coordinate,
    Count,
    Positive,
    Seed,
    Threads,
    among,
)

__all__ = ["PlanConfig"]


@dataclass(frozen=True, config=CHECKED)
class PlanConfig:
    """Which episodes to plan, how, and what to report them against.

    Attributes:
        out: Folder of report.json, report.html and videos/.
        task: Task, budget and energies (group).
        planner: Search settings (group).
        env: Environment, as `worldmodel.make_env` takes it; None for that of the task. With it,
            ``task=goal_image`` is the default.
        goal_source: ``env`` for the environment's own start and goal, ``ahead`` for a later scene
            of the collecting policy, ``expert`` for where a scripted solution ends.
        goal_ahead: Control steps from start to goal, of the last two.
        policy: The collecting policy, as in ``worldmodel collect``.
        success: ``module:function`` of environment and ``info`` that says whether the goal is
            reached; None for what ``info`` says.
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
    env: str | None = None
    goal_source: Annotated[str, among(*GOAL_SOURCES)] = "env"
    goal_ahead: Count = 5
    policy: str = "scripted"
    success: str | None = None
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
