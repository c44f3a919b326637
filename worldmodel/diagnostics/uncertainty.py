"""``worldmodel acceptance``: does an uncertainty tell where the imagination errs?

Plans and some of the candidates they were chosen from are carried out in the simulator; what the
camera then sees is encoded and held against what was imagined. An uncertainty earns its place in
E_world if it ranks these errors better than predictors that know nothing of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydantic.dataclasses
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from omegaconf import MISSING
from tqdm import tqdm

from worldmodel.agents.environment import capable, contract
from worldmodel.agents.objective import task_objective
from worldmodel.agents.planner import Bounds, make_planner
from worldmodel.agents.policies import search_agent
from worldmodel.agents.world import look_at, require_spec
from worldmodel.diagnostics.rankings import Agreement, agreement, bootstrap
from worldmodel.diagnostics.recorder import Recorder
from worldmodel.diagnostics.true_errors import TRIVIAL, Moment, Watched
from worldmodel.envs import check_appearance
from worldmodel.envs.protocol import Simulator
from worldmodel.evaluation.episodes import SEED_OFFSET, Episode, environments, run_episodes
from worldmodel.evaluation.intervals import success_summary
from worldmodel.files.atomic import write_json
from worldmodel.files.results import Results, write_png
from worldmodel.settings import CHECKED, AnyCount, Count, Seed, Several, Threads
from worldmodel.weights.world import identity, load_vector_world

__all__ = ["AcceptanceConfig", "Measured", "judge_uncertainty", "judged", "table"]

Array = NDArray[Any]
SETS = {"best": "best plans", "all": "all candidates"}


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class AcceptanceConfig:
    """Which episodes to plan, and what of them to carry out.

    Attributes:
        out: Folder of acceptance.json and acceptance.png.
        task: Task, budget and energies (group).
        planner: Search settings (group).
        env: Environment, as `worldmodel.make_env` takes it, that is a
            `worldmodel.envs.protocol.Simulator`; None for that of the task. With it,
            ``task=goal_image`` is the default.
        appearance: ``plain``, or ``rich`` for another look in every episode.
        split: Which rich looks: those for ``test``, or those that data for ``train`` are made of.
        checkpoint: Folder of a world checkpoint, or ``default``.
        episodes: How many.
        seed: Of the first episode, and of the search; as in ``worldmodel plan``.
        threads: CPU threads of the model.
        every: Of so many plans in a row, the first is measured.
        candidates: Carried out beside each plan, drawn from all that its search evaluated.
        resamples: Of the bootstrap over episodes.
    """

    out: str = MISSING
    task: Any = MISSING
    planner: Any = MISSING
    env: str | None = None
    appearance: str = "plain"
    split: str = "test"
    checkpoint: str = "default"
    episodes: Several = 50
    seed: Seed = 0
    threads: Threads = 1
    every: Count = 4
    candidates: AnyCount = 15
    resamples: Count = 200

    def __post_init__(self) -> None:
        check_appearance(self.appearance, self.split)

    @property
    def name(self) -> str:
        """Name of the environment."""
        return self.env or str(self.task.name)


@dataclass(frozen=True)
class Measured:
    """All that was measured; R rows, one per sequence of actions that was carried out.

    Attributes:
        errors: True error per imagined step, ``[R, K]``.
        predictors: By name, ``[R, K]`` each.
        best: Which rows are plans and not only candidates, ``[R]``.
        episode: Which episode each row is of, ``[R]``.
    """

    errors: Array
    predictors: dict[str, Array]
    best: Array
    episode: Array

    @classmethod
    def of(cls, episodes: Sequence[Sequence[Moment]]) -> Measured:
        """All moments of all episodes, one after the other."""
        moments = [moment for episode in episodes for moment in episode]
        sizes = [len(moment.errors) for moment in moments]
        owner = [number for number, episode in enumerate(episodes) for _ in episode]
        return cls(
            torch.cat([moment.errors for moment in moments]).numpy(),
            {
                name: torch.cat([moment.predictors[name] for moment in moments]).numpy()
                for name in moments[0].predictors
            },
            np.concatenate([np.arange(size) == 0 for size in sizes]),
            np.repeat(owner, sizes),
        )

    def rows(self, which: str) -> Array:
        """Numbers of the rows of a set: ``best`` or ``all``."""
        return np.flatnonzero(self.best) if which == "best" else np.arange(len(self.best))


def judge_uncertainty(cfg: AcceptanceConfig) -> None:
    """Plan, carry out, compare; write the figures and print them.

    Raises:
        UserError: The checkpoint or the output folder cannot be used.
    """
    results = Results(Path(cfg.out))
    torch.set_num_threads(cfg.threads)
    measured, episodes = measure(cfg)
    report: dict[str, Any] = {
        "task": cfg.name,
        "n": {
            "episodes": len(episodes),
            "plans": int(measured.best.sum()),
            "candidates": len(measured.best),
            "imagined_steps": measured.errors.shape[1],
        },
        "success": success_summary(episodes),
        "error_per_step": {
            which: measured.errors[measured.rows(which)].mean(0).tolist() for which in SETS
        },
        **{which: judged(measured, which, cfg.resamples, cfg.seed) for which in SETS},
        "planner": asdict(cfg.planner),
        "checkpoint": identity(cfg.checkpoint),
        "protocol": {
            **asdict(cfg.task),
            "name": cfg.name,
            "seed": cfg.seed,
            "seed_offset": SEED_OFFSET,
            "appearance": cfg.appearance,
            "split": cfg.split if cfg.appearance == "rich" else None,
            "every": cfg.every,
            "candidates": cfg.candidates,
            "error": "mean squared distance of imagined object latents to those of the true future",
            "ci95": f"bootstrap over episodes, {cfg.resamples} resamples",
        },
    }
    results.write("acceptance.json", partial(write_json, content=report))
    results.write("acceptance.png", partial(write_png, figure=_figure(report)))
    print(table(report))
    results.finish()
    out = results.out
    print(f"report: {out / 'acceptance.json'}   picture: {out / 'acceptance.png'}")


def measure(cfg: AcceptanceConfig) -> tuple[Measured, list[Episode]]:
    """Run the episodes as ``worldmodel plan`` would, and measure at some of their plans."""
    world = load_vector_world(cfg.checkpoint)
    recorder, objective = Recorder(world), task_objective(world, cfg.task)
    moments: list[list[Moment]] = []
    episodes: list[Episode] = []
    with environments(cfg.name, 1, look_at(world), cfg.appearance, cfg.split) as made:
        simulator = capable(made[0], Simulator, "acceptance")
        spec = contract(made[0])
        require_spec(world, spec)
        planner = make_planner(world, cfg.task, cfg.planner, *Bounds.of(spec.actions))
        agent = search_agent(recorder, objective, cfg.task, planner)
        watched = Watched(agent, recorder, world, simulator, cfg.every, cfg.candidates)
        seeds = range(cfg.seed, cfg.seed + cfg.episodes)
        results = run_episodes(watched, made, seeds, cfg.task, search_seed=cfg.seed)
        for episode in tqdm(results, desc="acceptance", total=len(seeds), unit="episode"):
            moments.append(watched.moments)
            episodes.append(episode)
    return Measured.of(moments), episodes


def judged(measured: Measured, which: str, resamples: int, seed: int = 0) -> dict[str, Any]:
    """How well each predictor ranks the errors of a set, with 95 % intervals over episodes.

    ``over_action_norm`` is by how much its ρ exceeds the action norm's, on the same resamples.
    """
    names, rows = list(measured.predictors), measured.rows(which)
    errors = measured.errors[rows]
    predictors = np.stack([measured.predictors[name][rows] for name in names])

    def statistic(drawn: Array) -> Array:
        return np.stack(agreement(predictors[:, drawn], errors[drawn]))

    found = statistic(np.arange(len(rows)))
    spread = bootstrap(statistic, measured.episode[rows], resamples, seed)
    norm = names.index("action_norm")
    return {
        name: {
            **{
                field: _estimate(found[f, p], spread[:, f, p])
                for f, field in enumerate(Agreement._fields)
            },
            "over_action_norm": {
                field: _estimate(found[f, p] - found[f, norm], spread[:, f, p] - spread[:, f, norm])
                for f, field in enumerate(Agreement._fields[:2])
            },
        }
        for p, name in enumerate(names)
    }


def _estimate(value: float, resampled: Array) -> dict[str, Any]:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {"value": float(value), "ci95": [float(low), float(high)]}


def table(report: dict[str, Any]) -> str:
    """Spearman and AUROC of every predictor, for the eye."""
    n = report["n"]
    lines = [
        f"{report['task']}: {n['episodes']} episodes, {n['plans']} plans, {n['candidates']} "
        f"candidates carried out, {n['imagined_steps']} imagined steps each"
    ]
    for which, title in SETS.items():
        lines.append(
            f"{title:<15} {'Spearman':<22} {'within a step':<22} {'AUROC':<22} within a step"
        )
        for name, found in report[which].items():
            cells = [_cell(found[field]) for field in Agreement._fields]
            lines.append(f"  {name:<13} " + " ".join(f"{cell:<22}" for cell in cells).rstrip())
    return "\n".join(lines)


def _cell(estimate: dict[str, Any]) -> str:
    low, high = estimate["ci95"]
    return f"{estimate['value']:+.2f} [{low:+.2f}, {high:+.2f}]"


def _figure(report: dict[str, Any]) -> Figure:
    """Spearman's ρ of every predictor with its interval, trivial ones in grey."""
    names = list(report["all"])[::-1]
    figure = Figure((8.5, 1.2 + 0.34 * 2 * len(names)), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    columns = {"spearman": "all steps together", "spearman_within": "within an imagined step"}
    for row, (which, title) in zip(axes, SETS.items(), strict=True):
        for panel, (field, subtitle) in zip(row, columns.items(), strict=True):
            for place, name in enumerate(names):
                found, colour = report[which][name][field], "0.6" if name in TRIVIAL else "C0"
                panel.plot(found["ci95"], [place, place], color=colour, linewidth=2)
                panel.plot(found["value"], place, "o", color=colour)
            panel.axvline(0, color="0.8", linewidth=0.8, zorder=0)
            panel.set_yticks(range(len(names)), names)
            panel.set_title(f"{title}, {subtitle}", fontsize=10)
    for panel in axes[1]:
        panel.set_xlabel("Spearman's ρ with the true latent error")
    return figure
