"""What a plan costs: rows of latency, one planner at one size of search each.

``cem`` is the planner of this project; ``plain`` is textbook CEM on the same world in the same run,
so that their ratio means something. ``cem-tokens`` and ``plain-tokens`` are the same pair on patch
tokens, where there is a cache to do without. With ``planner=hierarchical`` or ``retrieval`` that is
what is measured, over low levels of these sizes; with ``planner=vjepa2_ac`` the published search in
place of ``cem``, with its energy.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pydantic.dataclasses
import torch
from tqdm import tqdm

from worldmodel.agents.hierarchy import PlannerConfig, action_search
from worldmodel.devices import (
    device_name,
    known_precision,
    precision,
    require_compiler,
    usable_device,
)
from worldmodel.errors import UserError
from worldmodel.files.atomic import write_json
from worldmodel.files.results import Results
from worldmodel.latency.harness import Latency, Workload, matmul_ceiling, measure
from worldmodel.latency.plain import PlainCEM
from worldmodel.latency.subjects import (
    RANDOM,
    Subject,
    sized,
    token_subject,
    token_world,
    vector_subject,
)
from worldmodel.planners import CEMConfig, ICEMConfig, Planner, SearchConfig, VJEPA2ACConfig
from worldmodel.presets import PlannerOption
from worldmodel.settings import (
    CHECKED,
    Batch,
    Count,
    Depth,
    NonEmpty,
    Seed,
    Threads,
    Width,
    configured,
)
from worldmodel.weights.world import load_vector_world

__all__ = ["BenchConfig", "Grid", "Latencies", "TokenGrid", "bench", "run_bench", "table"]

Row = dict[str, Any]


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class Grid:
    """Sizes of search; every combination is measured.

    Attributes:
        samples: Candidates per iteration.
        horizon: Control steps looked ahead.
        iterations: CEM iterations.
        episodes: Episodes planned at once.
    """

    samples: NonEmpty[Batch] = (48, 96, 192)
    horizon: NonEmpty[Batch] = (4, 8)
    iterations: NonEmpty[Batch] = (3,)
    episodes: NonEmpty[Batch] = (1,)

    def searches(self, planner: PlannerConfig) -> list[SearchConfig]:
        """Settings of the search over actions at every size; what exceeds a size shrinks with it.

        Raises:
            ValueError: The search does not exist at one of the sizes.
        """
        search = action_search(planner)
        sizes = itertools.product(self.samples, self.horizon, self.iterations)
        return [sized(search, *size) for size in sizes]


def _plain(search: Any) -> CEMConfig:
    """Settings of a textbook CEM of the same size."""
    names = ("samples", "horizon", "iterations", "elites", "std", "receding_horizon", "active_dims")
    samples = getattr(search, "samples", CEMConfig.samples)
    own: dict[str, Any] = {"elites": min(CEMConfig.elites, samples)}
    own |= {k: getattr(search, k) for k in names if hasattr(search, k)}
    return CEMConfig(proposals=0, **own)


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class TokenGrid(Grid):
    """Sizes of search over patch tokens, which cost far more per rollout.

    Attributes:
        checkpoint: Token world: a folder; ``random`` for untrained weights on the encoder of the
            other checkpoint, which take as long; null to leave tokens out.
        width: Of the predictor, if its weights are random.
        depth: Its blocks.
    """

    checkpoint: str | None = RANDOM
    width: Width = 128
    depth: Depth = 4
    samples: NonEmpty[Batch] = (16,)
    horizon: NonEmpty[Batch] = (8,)
    iterations: NonEmpty[Batch] = (1,)


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class BenchConfig(Grid):
    """What to measure: every combination of the sizes that are lists.

    Attributes:
        samples: Candidates per iteration.
        horizon: Control steps looked ahead.
        iterations: CEM iterations.
        episodes: Episodes planned at once.
        out: Folder for ``latency.json``; rows appear there as they are measured. None for no file.
        checkpoint: World checkpoint: a folder, or ``default`` for the shipped one.
        planner: Settings of the planner (group), but for the sizes of its search over actions.
        tokens: The same for a world of patch tokens.
        plain: Measure the plain baseline beside each row.
        plans: Timed plans per row.
        warmup: Plans before them.
        device: Such as ``cpu`` or ``cuda``.
        threads: Of a CPU; None for torch's choice. On a busy machine one is the fastest.
        dtype: To imagine in: ``float32``, ``bfloat16`` or ``float16``.
        compile: Plan with what ``torch.compile`` makes of world and energy; of plain rows nothing
            is compiled but the image encoder of patch tokens.
        seed: Of frames, states and search.
    """

    out: str | None = None
    checkpoint: str = "default"
    planner: PlannerOption = field(default_factory=ICEMConfig)
    tokens: TokenGrid = field(default_factory=TokenGrid)
    plain: bool = True
    plans: Count = 200
    warmup: Count = 10
    device: str = "cpu"
    threads: Threads | None = None
    dtype: str = "float32"
    compile: bool = False
    seed: Seed = 0

    def __post_init__(self) -> None:
        known_precision(self.dtype)


@dataclass(frozen=True)
class Latencies:
    """What was measured; ``print`` shows its table.

    Attributes:
        content: Device, precision and rows, as latency.json has them.
    """

    content: Mapping[str, Any]

    @property
    def p50_ms(self) -> float:
        """The median of a plan's milliseconds, over the rows that are not plain."""
        return median(r["p50_ms"] for r in self.content["rows"] if "plain" not in r["planner"])

    def __str__(self) -> str:
        return table(self.content)


def run_bench(cfg: BenchConfig) -> Latencies:
    """Measure what a plan costs: latency, rollouts, share of the machine's peak, memory.

    Raises:
        UserError: The device is not there, the output cannot be written, or a checkpoint is not
            intact.
        ValueError: The horizon does not fit the world's stride.
    """
    results = None if cfg.out is None else Results(Path(cfg.out))
    if cfg.compile:
        require_compiler()
    device = usable_device(cfg.device)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    world = load_vector_world(cfg.checkpoint).to(device)
    dtype = precision(cfg.dtype, world)
    world = world.imagine_in(dtype)
    learned = not isinstance(cfg.planner, VJEPA2ACConfig)
    benches = [_Bench(cfg, cfg, vector_subject(world, learned=learned), device, dtype, "")]
    if cfg.tokens.checkpoint is not None:
        sizes = {"width": cfg.tokens.width, "depth": cfg.tokens.depth}
        # An encoder of its own, as compiling it is to leave the vector world's rows alone.
        encoder = copy.deepcopy(world.encoder) if cfg.compile else world.encoder
        patches = token_world(cfg.tokens.checkpoint, encoder, **sizes)
        patches = patches.to(device).imagine_in(dtype)
        tokens = token_subject(patches.fuse() if cfg.compile else patches)
        benches.append(_Bench(cfg, cfg.tokens, tokens, device, dtype, "-tokens"))
    report: dict[str, Any] = {
        "device": device_name(device),
        "dtype": str(dtype).removeprefix("torch."),
        "compile": cfg.compile,
        "rows": [],
    }
    with tqdm(total=sum(map(len, benches)), unit="row") as progress:
        for row in itertools.chain.from_iterable(bench.rows() for bench in benches):
            report["rows"].append(row)
            if results is not None:
                results.write("latency.json", partial(write_json, content=report))
            progress.update()
    found = Latencies(report)
    if results is not None:
        try:
            results.finish()
        except UserError:
            print(found)  # whatever becomes of the file
            raise
    return found


bench = configured(BenchConfig)(run_bench)


@dataclass(frozen=True)
class _Bench:
    """One world at every size of a grid."""

    cfg: BenchConfig
    grid: Grid
    subject: Subject
    device: torch.device
    dtype: torch.dtype
    suffix: str

    def __len__(self) -> int:
        return (
            len(self.grid.searches(self.cfg.planner))
            * len(self.grid.episodes)
            * (1 + self.cfg.plain)
        )

    def rows(self) -> Iterator[Row]:
        """Measure them one after the other, each baseline beside what it is compared with."""
        subject, device = self.subject, self.device
        for episodes in self.grid.episodes:
            workload = subject.workload(episodes, device, self.cfg.seed)
            workload = replace(workload, compiled=self.cfg.compile)
            for search in self.grid.searches(self.cfg.planner):
                name, planner = subject.planner(self.cfg.planner, search, device)
                yield self._row(name, search, workload, planner)
                if self.cfg.plain:
                    plain = replace(workload, world=subject.plain_world)
                    textbook = PlainCEM(_plain(search), *subject.bounds.to(device))
                    yield self._row("plain", search, plain, textbook)

    def _row(
        self, name: str, search: SearchConfig, workload: Workload, planner: Planner[Any]
    ) -> Row:
        cfg = self.cfg
        # Beside every row, as the pace of a machine changes within minutes.
        ceiling = matmul_ceiling(self.device, self.dtype).best
        latency = measure(workload, planner, plans=cfg.plans, warmup=cfg.warmup, seed=cfg.seed)
        return _row(name + self.suffix, search, len(workload.frames), latency, ceiling)


def _row(name: str, search: Any, episodes: int, latency: Latency, ceiling: float) -> Row:
    p50_ms = latency.percentile(50)
    return {
        "planner": name,
        "samples": getattr(search, "samples", 1),
        "horizon": search.horizon,
        "iterations": getattr(search, "iterations", 1),
        "episodes": episodes,
        "p50_ms": p50_ms,
        "p90_ms": latency.percentile(90),
        "p99_ms": latency.percentile(99),
        "max_ms": latency.percentile(100),
        "first_ms": latency.first_ms,
        "rollouts_per_s": 1e3 * latency.steps / search.horizon / p50_ms,
        "achieved_gflops": latency.flops / p50_ms / 1e6,
        "ceiling_gflops": ceiling,
        "peak_mb": latency.peak_mb,
        "split": latency.split_ms,
    }


def table(report: Mapping[str, Any]) -> str:
    """The report as text, milliseconds unless said otherwise."""
    head = (
        "planner         S   H   I   B     p50     p90     p99     max   first  plans/s  rollouts/s"
        "  GFLOP/s  of peak     MB  speed-up   parts of a plan"
    )
    ceilings = [row["ceiling_gflops"] for row in report["rows"]]
    extent = f"{min(ceilings):.0f} to {max(ceilings):.0f} GFLOP/s"
    plain = {_size(row): row["p50_ms"] for row in report["rows"] if "plain" in row["planner"]}
    lines = [f"{report['device']}, {report['dtype']}, ceiling {extent}", head]
    for row in report["rows"]:
        baseline = plain.get(_size(row))
        gain = "-" if baseline is None else f"{baseline / row['p50_ms']:.1f}x"
        times = "".join(
            f"{row[key]:8.1f}" for key in ("p50_ms", "p90_ms", "p99_ms", "max_ms", "first_ms")
        )
        split = ", ".join(f"{part} {ms:.1f}" for part, ms in row["split"].items())
        lines.append(
            f"{row['planner']:<12}{row['samples']:5}{row['horizon']:4}{row['iterations']:4}"
            f"{row['episodes']:4}{times}{1e3 / row['p50_ms']:9.1f}{row['rollouts_per_s']:12.0f}"
            f"{row['achieved_gflops']:9.1f}{row['achieved_gflops'] / row['ceiling_gflops']:9.0%}"
            f"{row['peak_mb']:7.0f}{gain:>10}   {split}"
        )
    return "\n".join(lines)


def _size(row: Row) -> tuple[Any, ...]:
    world = row["planner"].partition("-")[2]
    return world, row["samples"], row["horizon"], row["iterations"], row["episodes"]
