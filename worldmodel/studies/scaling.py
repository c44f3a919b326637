"""Plan time against samples, horizon, tokens and episodes.

One size varies at a time, the others stay. A line is fitted to time against operations, so that
what should be linear is seen to be, and a step of it costs what its operations do.

Shapes: S samples, H control steps, N tokens, B episodes.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic.dataclasses
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import Field

from worldmodel.devices import device_name, precision, usable_device
from worldmodel.files.atomic import write_json
from worldmodel.files.results import write_png
from worldmodel.latency.harness import Ceiling, Latency, matmul_ceiling
from worldmodel.latency.harness import measure as measure_latency
from worldmodel.latency.subjects import (
    Subject,
    sized,
    token_subject,
    untrained_tokens,
    vector_subject,
)
from worldmodel.planners import CEM, CEMConfig
from worldmodel.settings import CHECKED, Batch, Count, Depth, Width
from worldmodel.studies.plans import Machine
from worldmodel.weights.world import load_vector_world

__all__ = ["ScalingConfig", "fit", "measure", "table", "write"]

_Series = Annotated[tuple[Batch, ...], Field(min_length=2)]
"""Sizes to fit a line to."""


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class ScalingConfig:
    """What to vary, from where.

    Attributes:
        samples: Candidates of a round.
        horizon: Control steps looked ahead, for the vector world.
        token_horizon: For a predictor of patch tokens.
        tokens: Patch tokens of a frame: square numbers.
        episodes: Planned at once.
        plans: Timed at every size in every round.
        rounds: Through the sizes of a series, one after the other.
        width: Of the predictor of patch tokens.
        depth: Its blocks.
    """

    samples: _Series = (48, 96, 192, 384, 768)
    horizon: _Series = (4, 8, 12, 16)
    token_horizon: _Series = (1, 2, 3, 4, 5, 6, 7, 8)
    tokens: _Series = (16, 36, 64, 100)
    episodes: _Series = (1, 4, 16)
    plans: Count = 5
    rounds: Count = 3
    width: Width = 256
    depth: Depth = 6

    def __post_init__(self) -> None:
        if uneven := [count for count in self.tokens if isqrt(count) ** 2 != count]:
            raise ValueError(
                f"Expected square numbers in tokens, as images are square, got {uneven[0]}"
            )


def measure(config: ScalingConfig, out: Path, machine: Machine) -> dict[str, Any]:
    """Measure every size.

    Args:
        config: The sizes.
        out: Folder; nothing is left there before `write`.
        machine: What to plan with, and where.

    Raises:
        ValueError: A horizon does not fit the world's stride; nothing is measured by then.
    """
    if machine.threads is not None:
        torch.set_num_threads(machine.threads)
    device = usable_device(machine.device)
    world = load_vector_world(machine.checkpoint).to(device)
    dtype = precision(machine.dtype, world)
    if uneven := [steps for steps in config.horizon if steps % world.stride]:
        raise ValueError(
            f"Expected scaling.horizon in multiples of the world's stride {world.stride}, got "
            f"{uneven[0]}"
        )
    vector = vector_subject(world.imagine_in(dtype))
    base = CEMConfig(samples=96, horizon=12, iterations=3, receding_horizon=1)
    few = CEMConfig(samples=64, horizon=2, iterations=1, receding_horizon=1)

    def tokens(count: int) -> Subject:
        patches = untrained_tokens(count, width=config.width, depth=config.depth)
        return token_subject(patches.to(device).imagine_in(dtype))

    square = tokens(64)
    series = {
        "vector world, samples": [
            _Size(n, vector, sized(base, n, base.horizon, base.iterations)) for n in config.samples
        ],
        "vector world, horizon": [
            _Size(n, vector, sized(base, base.samples, n, base.iterations)) for n in config.horizon
        ],
        "vector world, episodes": [_Size(n, vector, base, episodes=n) for n in config.episodes],
        "patch tokens, samples": [
            _Size(n, square, sized(few, n, few.horizon, few.iterations)) for n in config.samples
        ],
        "patch tokens, horizon": [
            _Size(n, square, sized(few, few.samples, n, few.iterations))
            for n in config.token_horizon
        ],
        "patch tokens, tokens": [_Size(n, tokens(n), few) for n in config.tokens],
    }
    rows = {name: _timed(sizes, config, device, dtype) for name, sizes in series.items()}
    return {
        "device": device_name(device),
        "dtype": str(dtype).removeprefix("torch."),
        "width": config.width,
        "depth": config.depth,
        "series": {name: {"rows": found, **fit(found)} for name, found in rows.items()},
    }


@dataclass(frozen=True)
class _Size:
    """Of what varies, and what is planned with it."""

    size: int
    subject: Subject
    search: CEMConfig
    episodes: int = 1

    def measured(self, plans: int, device: torch.device) -> Latency:
        workload = self.subject.workload(self.episodes, device, seed=0)
        return measure_latency(
            workload,
            CEM(self.search, *self.subject.bounds.to(device)),
            plans=plans,
            warmup=1,
            profiled=0,
        )


def _timed(
    sizes: Sequence[_Size], config: ScalingConfig, device: torch.device, dtype: torch.dtype
) -> list[dict[str, float]]:
    """Medians over rounds in which sizes take turns and the ceiling is measured beside each.

    The pace of a machine changes within minutes, and would bend a line through sizes that were
    measured one after the other.
    """
    found: list[list[tuple[Latency, Ceiling]]] = [[] for _ in sizes]
    for _ in range(config.rounds):
        for size, latencies in zip(sizes, found, strict=True):
            ceiling = matmul_ceiling(device, dtype)
            latencies.append((size.measured(config.plans, device), ceiling))
    return [
        {
            "size": size.size,
            "ms": statistics.median(ms for one, _ in latencies for ms in one.plan_ms.tolist()),
            "gflop": latencies[0][0].flops / 1e9,
            "ceiling_gflops": statistics.median(ceiling.best for _, ceiling in latencies),
            "sustained_gflops": statistics.median(ceiling.sustained for _, ceiling in latencies),
        }
        for size, latencies in zip(sizes, found, strict=True)
    ]


def fit(rows: list[dict[str, float]]) -> dict[str, float]:
    """The line of time against operations.

    Returns:
        ``r2`` of that line, and ``slope``: what an operation more costs over what one costs on
        average at the largest size. 1 if time is proportional to operations.
    """
    gflop, ms = (np.array([row[key] for row in rows]) for key in ("gflop", "ms"))
    slope, intercept = _line(gflop, ms)
    residual = ms - slope * gflop - intercept
    r2 = 1 - float((residual**2).sum() / ((ms - ms.mean()) ** 2).sum())
    return {"r2": r2, "slope": float(slope * gflop[-1] / ms[-1])}


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    slope, intercept = np.polyfit(x, y, 1)
    return float(slope), float(intercept)


def table(report: Mapping[str, Any]) -> str:
    """A line per series, and what it made of the machine."""
    rows = [row for found in report["series"].values() for row in found["rows"]]
    best, sustained = (
        f"{min(row[key] for row in rows):.0f} to {max(row[key] for row in rows):.0f}"
        for key in ("ceiling_gflops", "sustained_gflops")
    )
    lines = [
        f"{report['device']}, {report['dtype']}, matrix products: best {best} GFLOP/s, "
        f"sustained {sustained}; share of both"
    ]
    for name, series in report["series"].items():
        cells = "  ".join(
            f"{row['size']:.0f}: {row['ms']:.1f} ms "
            f"({_share(row, 'ceiling_gflops'):.0%}, {_share(row, 'sustained_gflops'):.0%})"
            for row in series["rows"]
        )
        lines.append(f"{name:<26} R² {series['r2']:.3f}  slope {series['slope']:.2f}   {cells}")
    return "\n".join(lines)


def _share(row: Mapping[str, float], rate: str) -> float:
    return row["gflop"] / row["ms"] * 1e3 / row[rate]


def write(report: Mapping[str, Any], out: Path) -> None:
    """``scaling.json`` and ``scaling.png``."""
    write_json(out / "scaling.json", dict(report))
    series = report["series"]
    figure = Figure((3.4 * 3, 3.0 * -(-len(series) // 3)), layout="constrained")
    panels = figure.subplots(-(-len(series) // 3), 3, squeeze=False).flat
    for axes, (name, found) in zip(panels, series.items(), strict=False):
        axes.plot([r["size"] for r in found["rows"]], [r["ms"] for r in found["rows"]], "o-")
        axes.set_title(f"{name}\nR² {found['r2']:.3f}, slope {found['slope']:.2f}", fontsize=9)
        axes.set_xlabel(name.rpartition(" ")[2])
        axes.set_ylabel("p50 of a plan, ms")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    write_png(out / "scaling.png", figure)
