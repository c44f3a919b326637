"""``worldmodel bench``: measure plan latency and write ``latency.json``.

A row is one planner at one size of search. ``cem`` is the planner of this project; ``plain`` is
textbook CEM on the same world in the same run, so that their ratio means something.
"""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import MISSING
from torch import Tensor
from tqdm import tqdm

from planners import CEM, CEMConfig, Disagreement, Objective, TotalEnergy, World
from planners.latency import Latency, Workload, matmul_ceiling, measure
from planners.plain import PlainCEM
from worldmodel.data.atomic import write_json
from worldmodel.errors import UserError
from worldmodel.weights.world import load_world

__all__ = ["BenchConfig", "Subject", "run"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ACTION_LIMIT = 0.05  # m; latency does not depend on it
Row = dict[str, Any]


@dataclass(frozen=True)
class BenchConfig:
    """What to measure.

    Attributes:
        out: Folder for ``latency.json``; rows appear there as they are measured.
        checkpoint: World checkpoint: a folder, or ``default`` for the shipped one.
        planner: Settings of CEM; the lists below override its sizes.
        samples: Candidates per iteration.
        horizon: Control steps looked ahead.
        iterations: CEM iterations.
        episodes: Episodes planned at once.
        plain: Measure the plain baseline beside each row.
        plans: Timed plans per row.
        warmup: Plans before them.
        device: Such as ``cpu`` or ``cuda``.
        dtype: ``float32``, or ``bfloat16`` or ``float16`` by autocast.
        seed: Of frames, states and search.
    """

    out: str = MISSING
    checkpoint: str = "default"
    planner: CEMConfig = field(default_factory=CEMConfig)
    samples: tuple[int, ...] = (48, 96, 192)
    horizon: tuple[int, ...] = (4, 8)
    iterations: tuple[int, ...] = (3,)
    episodes: tuple[int, ...] = (1,)
    plain: bool = True
    plans: int = 200
    warmup: int = 10
    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"Expected dtype to be one of {', '.join(DTYPES)}, got '{self.dtype}'")
        for name in ("plans", "warmup"):
            if getattr(self, name) < 1:
                raise ValueError(f"Expected {name} of at least 1, got {getattr(self, name)}")
        for name in ("samples", "horizon", "iterations", "episodes"):
            sizes = getattr(self, name)
            if not sizes or min(sizes) < 1:
                raise ValueError(f"Expected {name} to list sizes of at least 1, got {list(sizes)}")


@dataclass(frozen=True)
class Subject:
    """A world to plan in, and what to plan for.

    Attributes:
        world: On the device to be measured.
        objective: From goal latents ``[B, N, D]``.
        image_size: Side of the frames it takes.
        action_width: A.
        state_width: P.
    """

    world: World
    objective: Callable[[Tensor], Objective]
    image_size: int
    action_width: int
    state_width: int

    @torch.inference_mode()
    def workload(self, episodes: int, device: torch.device, seed: int) -> Workload:
        """Random frames and goals: what they show makes no difference to the time."""
        noise = torch.Generator().manual_seed(seed)
        shape = (2, episodes, 1, self.image_size, self.image_size, 3)
        frames, goals = torch.randint(256, shape, generator=noise, dtype=torch.uint8).to(device)
        objective = self.objective(self.world.encode(goals)[:, 0])
        states = torch.randn(episodes, 1, self.state_width, generator=noise).to(device)
        return Workload(self.world, objective, frames, states)


def load_subject(checkpoint: str, device: torch.device) -> Subject:
    """The world of a checkpoint, with its value as goal energy, its doubts and its prior."""
    world = load_world(checkpoint).to(device)
    quantiles = world.disagreement_quantiles
    doubt = None if quantiles is None else Disagreement(*quantiles)

    def objective(goal_latents: Tensor) -> Objective:
        energy = TotalEnergy(world.goal_energy(goal_latents), doubt)
        return Objective(energy, world.prior(goal_latents))

    sizes = world.predictor.config
    return Subject(world, objective, world.image_size, sizes.action_width, sizes.state_width)


def run(cfg: BenchConfig) -> None:
    """Measure every row, print a table and write ``latency.json``.

    Raises:
        UserError: The device is not there, the output cannot be written, a size fits no plan or
            the checkpoint is not intact.
    """
    path = _writable(Path(cfg.out)) / "latency.json"
    device, dtype = _device(cfg.device), DTYPES[cfg.dtype]
    searches = _searches(cfg)
    subject = load_subject(cfg.checkpoint, device)
    report: dict[str, Any] = {
        "device": _device_name(device),
        "dtype": cfg.dtype,
        "ceiling_gflops": matmul_ceiling(device, dtype),
        "rows": [],
    }
    for row in tqdm(_rows(cfg, subject, searches, device), total=_count(cfg, searches), unit="row"):
        report["rows"].append(row)
        write_json(path, report)
    print(table(report))
    print(f"Written to {path}")


def _searches(cfg: BenchConfig) -> list[CEMConfig]:
    """The planner's settings at every size; what exceeds a smaller size shrinks with it."""
    searches: list[CEMConfig] = []
    for samples, horizon, iterations in itertools.product(cfg.samples, cfg.horizon, cfg.iterations):
        search = replace(
            cfg.planner,
            samples=samples,
            horizon=horizon,
            iterations=iterations,
            elites=min(cfg.planner.elites, samples),
            proposals=min(cfg.planner.proposals, samples),
            execute=min(cfg.planner.execute, horizon),
        )
        searches.append(search)
    return searches


def _count(cfg: BenchConfig, searches: Sequence[CEMConfig]) -> int:
    return len(searches) * len(cfg.episodes) * (1 + cfg.plain)


def _rows(
    cfg: BenchConfig, subject: Subject, searches: Sequence[CEMConfig], device: torch.device
) -> Iterator[Row]:
    def precision() -> AbstractContextManager[Any]:
        dtype = DTYPES[cfg.dtype]
        return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)

    high = torch.full((subject.action_width,), ACTION_LIMIT, device=device)
    for episodes in cfg.episodes:
        timed = partial(
            measure,
            subject.workload(episodes, device, cfg.seed),
            plans=cfg.plans,
            warmup=cfg.warmup,
            precision=precision,
            seed=cfg.seed,
        )
        for search in searches:
            yield _row("cem", search, episodes, timed(CEM(search, -high, high)))
            if cfg.plain:
                yield _row("plain", search, episodes, timed(PlainCEM(search, -high, high)))


def _row(name: str, search: CEMConfig, episodes: int, latency: Latency) -> Row:
    p50_ms = latency.percentile(50)
    rollouts = search.samples * search.iterations * episodes
    return {
        "planner": name,
        "samples": search.samples,
        "horizon": search.horizon,
        "iterations": search.iterations,
        "episodes": episodes,
        "p50_ms": p50_ms,
        "p90_ms": latency.percentile(90),
        "p99_ms": latency.percentile(99),
        "max_ms": latency.percentile(100),
        "first_ms": latency.first_ms,
        "rollouts_per_s": 1e3 * rollouts / p50_ms,
        "achieved_gflops": latency.flops / p50_ms / 1e6,
        "peak_mb": latency.peak_mb,
        "split": latency.split_ms,
    }


def table(report: dict[str, Any]) -> str:
    """The report as text, milliseconds unless said otherwise."""
    head = (
        "planner         S   H   I   B     p50     p90     p99     max   first  plans/s  rollouts/s"
        "  GFLOP/s  of peak     MB  speed-up   encode / rollout / energy / update"
    )
    ceiling = report["ceiling_gflops"]
    plain = {_size(row): row["p50_ms"] for row in report["rows"] if row["planner"] == "plain"}
    lines = [f"{report['device']}, {report['dtype']}, ceiling {ceiling:.0f} GFLOP/s", head]
    for row in report["rows"]:
        gain = plain.get(_size(row), float("nan")) / row["p50_ms"]
        times = "".join(
            f"{row[key]:8.1f}" for key in ("p50_ms", "p90_ms", "p99_ms", "max_ms", "first_ms")
        )
        split = " / ".join(
            f"{row['split'].get(part, 0.0):.1f}"
            for part in ("encode", "rollout", "energy", "update")
        )
        lines.append(
            f"{row['planner']:<12}{row['samples']:5}{row['horizon']:4}{row['iterations']:4}"
            f"{row['episodes']:4}{times}{1e3 / row['p50_ms']:9.1f}{row['rollouts_per_s']:12.0f}"
            f"{row['achieved_gflops']:9.1f}{row['achieved_gflops'] / ceiling:9.0%}"
            f"{row['peak_mb']:7.0f}{gain:9.1f}x   {split}"
        )
    return "\n".join(lines)


def _size(row: Row) -> tuple[int, ...]:
    return tuple(row[key] for key in ("samples", "horizon", "iterations", "episodes"))


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device={name} cannot be used here; try device=cpu, or a torch built for it"
        ) from error
    return device


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {torch.get_num_threads()} threads"


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out={folder} cannot be made a folder ({error.strerror})") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"out={folder} cannot be written; choose another folder")
    return folder
