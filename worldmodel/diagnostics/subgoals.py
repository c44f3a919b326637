"""``worldmodel subgoals``: draw the way that a planner on two time scales sees to the goal.

A sub-goal is a latent that nobody has photographed, so the nearest moments of the data that the
checkpoint remembers stand for it: frames of the dataset, found by distance in planning latents.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from omegaconf import MISSING
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.agents.agent import make_agent
from worldmodel.agents.views import Image
from worldmodel.agents.world import look_at
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.envs import check_appearance
from worldmodel.errors import UserError
from worldmodel.evaluation.episodes import SEED_OFFSET, environments
from worldmodel.files.results import Results, write_png
from worldmodel.planners import HierarchicalConfig, PlanRecord, RetrievalConfig
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.settings import CHECKED, AnyCount, NonEmpty, Seed
from worldmodel.weights.world import load_vector_world

__all__ = ["SubgoalsConfig", "draw_subgoals", "nearest_moments"]


@dataclass(frozen=True, config=CHECKED)
class SubgoalsConfig:
    """Which moments of which episode to draw the sub-goals of.

    Attributes:
        out: Folder of subgoals.png.
        data: Folder of the dataset that the checkpoint was trained on.
        allow_links_outside: Whether the dataset's files may be symbolic links that lead out of its
            folder, as in the cache of Hugging Face.
        task: Task and energies (group).
        planner: Planner on two time scales (group).
        env: Environment, as in ``worldmodel plan``.
        appearance: ``plain``, or ``rich`` for another look.
        split: Which rich looks: those for ``test``, or those that data for ``train`` are made of.
        checkpoint: Folder of a world checkpoint, or ``default``.
        seed: Of the episode, and of the search; as in ``worldmodel plan``.
        moments: Control steps of the episode; a row for each.
    """

    out: str = MISSING
    data: str = MISSING
    allow_links_outside: bool = False
    task: Any = MISSING
    planner: Any = MISSING
    env: str | None = None
    appearance: str = "plain"
    split: str = "test"
    checkpoint: str = "default"
    seed: Seed = 0
    moments: NonEmpty[AnyCount] = (0, 8, 16)

    def __post_init__(self) -> None:
        check_appearance(self.appearance, self.split)


def draw_subgoals(cfg: SubgoalsConfig) -> None:
    """Plan the episode up to the last moment and draw.

    Raises:
        UserError: The planner has no sub-goals, or the checkpoint, the dataset or the output folder
            cannot be used.
    """
    if not isinstance(cfg.planner, HierarchicalConfig | RetrievalConfig):
        raise UserError("Expected planner=hierarchical or planner=retrieval, which have sub-goals")
    results = Results(Path(cfg.out))
    torch.set_num_threads(1)
    world, dataset = (
        load_vector_world(cfg.checkpoint),
        Dataset.open(cfg.data, allow_links_outside=cfg.allow_links_outside),
    )
    frames, goal, records = _episode(cfg, world)
    rows = [_row(world, dataset, frames, goal, records, moment) for moment in cfg.moments]
    results.write("subgoals.png", partial(write_png, figure=_figure(rows)))
    for row in rows:
        print("   ".join(caption for _, caption in row))
    results.finish()
    print(f"picture: {results.out / 'subgoals.png'}")


def _episode(
    cfg: SubgoalsConfig, world: VectorWorld
) -> tuple[list[Image], Image, list[PlanRecord]]:
    """Camera images up to the last moment, the goal image, and the plans made."""
    name, look = cfg.env or cfg.task.name, look_at(world)
    with environments(name, 1, look, cfg.appearance, cfg.split) as (env,):
        agent = make_agent(world, env, task=cfg.task, planner=cfg.planner)
        observation, info = env.reset(seed=SEED_OFFSET + cfg.seed)
        goals = info["subgoals"] if cfg.task.stage_steps else observation["goal"]
        agent.reset(goals, seed=cfg.seed)
        frames: list[Image] = []
        for _ in range(max(cfg.moments) + 1):
            frames.append(agent.recipe.views.seen(observation).numpy())
            observation, _, terminated, truncated, _ = env.step(agent.act(observation))
            if (terminated or truncated) and len(frames) <= max(cfg.moments):
                raise UserError(
                    f"Expected an episode of more than {max(cfg.moments)} control steps for "
                    f"moments={list(cfg.moments)}, got one of {len(frames)}; ask for earlier ones"
                )
    goal = agent.recipe.views.joined(observation["goal"], "goal").numpy()
    return frames, goal, list(agent.records)


Panel = tuple[Image, str]


def _row(
    world: VectorWorld,
    dataset: Dataset,
    frames: list[Image],
    goal: Image,
    records: list[PlanRecord],
    moment: int,
) -> list[Panel]:
    """Images and captions: the moment of the last plan until then, its sub-goals, the goal."""
    record = [record for record in records if record.step <= moment][-1]
    subgoals = record.plan.subgoals
    assert subgoals is not None
    found, apart = nearest_moments(world, subgoals.latents[0, :, 0])
    panels = [(frames[record.step], f"step {record.step}")]
    for k, (row, distance) in enumerate(zip(found.tolist(), apart.tolist(), strict=True), start=1):
        to_go = float(subgoals.energies[0, k - 1])
        caption = f"sub-goal {k}: {to_go:.1f} to go, nearest at {distance:.2f}"
        panels.append((_frame(dataset, row), caption))
    return [*panels, (goal, "goal, pursued itself" if bool(subgoals.direct[0]) else "goal")]


def nearest_moments(world: VectorWorld, latents: Tensor) -> tuple[Tensor, Tensor]:
    """Rows ``[G]`` of the data that are remembered nearest to latents ``[G, Z]``, and how near.

    Raises:
        UserError: The world remembers nothing.
    """
    remembered, rows = world.predictor.memory.recall()
    if len(rows) == 0:
        raise UserError("Expected a checkpoint that remembers moments of its data; train it again")
    nearest = torch.cdist(latents, remembered).min(1)
    return rows[nearest.indices], nearest.values


def _frame(dataset: Dataset, row: int) -> Image:
    """The frame of a row of the data.

    Raises:
        UserError: There is no such row.
    """
    if row >= dataset.num_frames:
        raise UserError(
            f"Expected data={dataset.root} to be what the checkpoint was trained on, which has a "
            f"frame {row}, got a dataset of {dataset.num_frames} frames"
        )
    episode = int(np.searchsorted(dataset.starts, row, side="right")) - 1
    return dataset.frames(episode)[row - int(dataset.starts[episode])]


def _figure(rows: list[list[Panel]]) -> Figure:
    columns = len(rows[0])
    figure = Figure((1.9 * columns, 2.25 * len(rows)), layout="constrained")
    for r, row in enumerate(rows):
        for c, (image, caption) in enumerate(row):
            axes = figure.add_subplot(len(rows), columns, r * columns + c + 1)
            axes.imshow(image)
            axes.set_title(caption.replace(", ", "\n"), fontsize=8)
            axes.set_axis_off()
    return figure
