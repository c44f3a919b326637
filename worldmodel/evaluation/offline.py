"""``worldmodel evaluate``: what a world is worth on recordings, without a simulator.

- Open-loop error of imagined latents, step by step, beside copying the last frame.
- Rank of the recorded actions among others, by the energy that a planner would minimise.
- Uncertainty: how it ranks true errors, and how often it exceeds its usual 99 %.
- Proprioception: error of imagined states beside holding still.

Only held-out episodes are looked at, unless all are asked for.
"""

from __future__ import annotations

from dataclasses import asdict, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from omegaconf import MISSING
from pydantic.dataclasses import dataclass
from scipy.stats import spearmanr
from torch import Tensor

from worldmodel.agents.objective import task_objective
from worldmodel.agents.task import TaskConfig, task_for
from worldmodel.agents.world import load_world
from worldmodel.data.cameras import wanted_cameras
from worldmodel.data.fitting import fitted_dataset
from worldmodel.data.reader import DataSource, open_source
from worldmodel.data.sampling import sampled
from worldmodel.data.specification import data_spec
from worldmodel.dynamics.lewm import open_loop_lewm
from worldmodel.dynamics.loading import load_recordings
from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.state_model import state_errors
from worldmodel.dynamics.tokens import open_loop_tokens
from worldmodel.dynamics.validation import open_loop
from worldmodel.dynamics.vector.run import planning_latents
from worldmodel.evaluation.offline_page import page, table
from worldmodel.files.atomic import write_json, write_text
from worldmodel.files.results import Results
from worldmodel.planners import Trajectory
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.predictors.trained_on import require_trained_on
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.predictors.worlds import AnyWorld
from worldmodel.settings import (
    CHECKED,
    Count,
    Frames,
    Positive,
    ProperShare,
    Seed,
    Several,
    Threads,
    among,
    configured,
)
from worldmodel.spec import SpecChanges
from worldmodel.weights.world import identity

__all__ = ["OfflineConfig", "run_validation", "validate"]


@dataclass(frozen=True, config=CHECKED)
class OfflineConfig:
    """Which world to judge, on which recordings.

    Attributes:
        data: Recordings, as ``worldmodel train`` takes them.
        checkpoint: Folder of a world checkpoint, or ``default``.
        out: Folder of offline.json and offline.html.
        spec: What actions and states mean, where the dataset does not say so.
        camera: Which camera.
        cameras: Several cameras, in the order of training.
        fps: Frames a second; null for all that were recorded.
        actions: ``recorded``, or ``poses``; as in ``worldmodel train``.
        allow_links_outside: As in ``worldmodel train``.
        episodes: ``held_out``, those that training with this ``holdout`` left out, or ``all``.
        holdout: Share of the episodes that training held out.
        windows: That are looked at, at most.
        steps: Imagined steps ahead.
        candidates: Action sequences among which the recorded one is ranked.
        cache: Folder of the latent cache.
        device: ``cpu``, ``cuda`` or ``auto``.
        threads: Of a CPU.
        seed: Of everything drawn.
    """

    data: DataSource = MISSING
    checkpoint: str = "default"
    out: str = MISSING
    spec: SpecChanges = field(default_factory=SpecChanges)
    camera: str | None = None
    cameras: tuple[str, ...] = ()
    fps: Positive | None = None
    actions: str = "recorded"
    allow_links_outside: bool = False
    episodes: Annotated[str, among("held_out", "all")] = "held_out"
    holdout: ProperShare = 0.1
    windows: Count = 256
    steps: Frames = 8
    candidates: Several = 64
    cache: str = "runs/cache"
    device: str = "auto"
    threads: Threads = 1
    seed: Seed = 0


def run_validation(cfg: OfflineConfig) -> dict[str, Any]:
    """Look at the recordings, print, write.

    Returns:
        What offline.json holds.

    Raises:
        UserError: World and recordings do not fit, or one of them cannot be read.
    """
    results = Results(Path(cfg.out))
    torch.set_num_threads(cfg.threads)
    world = load_world(cfg.checkpoint, device=cfg.device)
    data = _recordings(cfg, world)
    if isinstance(world, VectorWorld):
        world = world.cpu()  # once frames are embedded, networks are small and data in memory
    report: dict[str, Any] = {
        "checkpoint": identity(cfg.checkpoint),
        "n": {"episodes": len(data.held_out), "frames": int(data.lengths[data.held_out].sum())},
        "episodes": cfg.episodes,
        "seed": cfg.seed,
    }
    vectors = _vectors(world, data) if isinstance(world, VectorWorld) else None
    report["open_loop"] = _open_loop(cfg, world, data, vectors)
    stride = world.stride
    if (errors := state_errors(world.predictor, data, stride, cfg.steps)) is not None:
        report["proprioception"] = asdict(errors)
    with torch.inference_mode():
        report["action_rank"] = _action_rank(cfg, world, data)
        if isinstance(world, VectorWorld) and vectors is not None:
            report["uncertainty"] = _uncertainty(cfg, world, data, vectors)
    print(table(report))
    results.write("offline.json", partial(write_json, content=report))
    results.write("offline.html", partial(write_text, text=page(report)))
    results.finish()
    print(f"report: {results.out / 'offline.html'}")
    return report


validate = configured(OfflineConfig)(run_validation)


def _recordings(cfg: OfflineConfig, world: AnyWorld) -> Recordings:
    """The recordings with their latents, all held out if all are to be looked at."""
    dataset = open_source(
        cfg.data,
        wanted_cameras(cfg.camera, cfg.cameras),
        allow_links_outside=cfg.allow_links_outside,
    )
    dataset = sampled(dataset, cfg.fps, cfg.actions, cfg.spec)
    spec = data_spec(dataset, cfg.spec)
    require_trained_on(world, spec, against=str(dataset.root), bounds=False)
    fit = "crop" if world.spec is None else world.spec.fit
    dataset = fitted_dataset(dataset, world.image_size, fit)
    data = load_recordings(dataset, world.encoder, Path(cfg.cache), cfg.holdout, spec=spec)
    if cfg.episodes == "held_out":
        return data
    everyone = np.sort(np.concatenate([data.train, data.held_out]))
    return Recordings(
        data.latents,
        data.actions,
        data.states,
        data.starts,
        data.lengths,
        everyone,
        everyone,
        data.objects,
        data.extrinsics,
        data.spec,
    )


def _vectors(world: VectorWorld, data: Recordings) -> Tensor:
    """Planning latents ``[F, Z]`` of all rows."""
    model, device = world.predictor, data.latents.device
    return planning_latents(model, data.latents, data.last_rows()).to(device)


def _open_loop(
    cfg: OfflineConfig, world: AnyWorld, data: Recordings, vectors: Tensor | None
) -> dict[str, Any]:
    if isinstance(world, VectorWorld):
        assert vectors is not None
        longest = (int(data.lengths[data.held_out].max()) - 1) // world.stride
        steps = max(1, min(cfg.steps, longest))
        return asdict(open_loop(world.predictor, data, vectors, steps, cfg.windows))
    if isinstance(world, LewmWorld):
        return asdict(open_loop_lewm(world, data, cfg.steps, cfg.windows))
    return asdict(open_loop_tokens(world.predictor, data, cfg.steps, cfg.windows))


def _windows(cfg: OfflineConfig, data: Recordings, stride: int) -> Tensor:
    """First rows ``[R]`` and length of windows of held-out episodes, the same ones every time."""
    longest = (int(data.lengths[data.held_out].max()) - 1) // stride
    steps = max(1, min(cfg.steps, longest))
    firsts = data.rows(data.held_out, steps * stride + 1)
    order = torch.randperm(len(firsts), generator=torch.Generator().manual_seed(cfg.seed))
    return firsts[order[: cfg.windows], None] + torch.arange(steps * stride + 1)


def _action_rank(cfg: OfflineConfig, world: AnyWorld, data: Recordings) -> dict[str, Any]:
    """Where the recorded actions stand among those of other windows, towards their own end."""
    device = next(world.predictor.parameters()).device
    rows = _windows(cfg, data, world.stride)
    rows = rows[: min(len(rows), 128)]
    pursuit = task_objective(world, _task(world))
    generator = torch.Generator().manual_seed(cfg.seed)
    shares: list[float] = []
    for window in rows:
        others = rows[torch.randint(len(rows), (cfg.candidates - 1,), generator=generator)]
        chosen = torch.cat([window[None], others])[:, :-1]
        start, goal = (data.latents[window[at]].float().to(device)[None] for at in (0, -1))
        seen = world.project(start[:, None], goal)
        aim = world.project(goal[:, None], start)
        energy = pursuit(aim[:, 0]).energy
        states = data.states[window[:1]][None].to(device)
        futures: Trajectory = world.rollout(seen, states, data.actions[chosen][None].to(device))
        total = energy(futures)[0][0]
        worse = (total[1:] < total[0]).float() + 0.5 * (total[1:] == total[0]).float()
        shares.append(float(worse.mean()))
    ranks = np.array(shares)
    drawn = np.random.default_rng(cfg.seed).integers(len(ranks), size=(2000, len(ranks)))
    low, high = np.percentile(ranks[drawn].mean(1), [2.5, 97.5])
    return {
        "candidates": cfg.candidates,
        "windows": len(ranks),
        "better_share": float(ranks.mean()),
        "ci95": [float(low), float(high)],
        "chance": 0.5,
    }


def _task(world: AnyWorld) -> TaskConfig:
    bare = {"energy": "latent", "prior": False, "world_energy": ()}
    return task_for("goal_image", "cem", {} if isinstance(world, VectorWorld) else bare)


def _uncertainty(
    cfg: OfflineConfig, world: VectorWorld, data: Recordings, vectors: Tensor
) -> dict[str, Any]:
    """Of each term: rank correlation with the true latent error, and steps beyond its 99 %."""
    model, stride = world.predictor, world.stride
    frames = _windows(cfg, data, stride)[:, ::stride]
    futures = world.rollout(*data.question(vectors, frames, stride))
    true = model.object_latents(vectors[frames[:, 1:]])
    missed = (model.object_latents(futures.latents[:, 0, :, 0]) - true).square().mean(-1)
    found: dict[str, Any] = {}
    for name, known in world.uncertainties.items():
        value = known.uncertainty(futures)[:, 0]
        usual = known.q99[torch.arange(value.shape[1]).clamp(max=len(known.q99) - 1)]
        found[name] = {
            "spearman": float(spearmanr(value.flatten().numpy(), missed.flatten().numpy())[0]),
            "beyond_q99": float((value > usual).float().mean()),
        }
    return found
