"""Plan latency of V-JEPA 2-AC at full size; its random weights take as long as trained ones.

    python benchmarks/vjepa2_ac.py [--device cuda|cpu] [--reduced] [--eager]

The encoder is ViT-g and the predictor that of the paper (presets ``encoder=vitg`` and
``predictor=vjepa2_ac``), in bfloat16 where the device has it. On a GPU blocks are compiled in parts
and what is small is replayed as CUDA graphs (``TokenWorld.fuse``), unless ``--eager``. On a CPU, or
with ``--reduced``, encoder, predictor and search are small, and only the script is tested. Rows:

- ``vjepa2_ac``: the published search, 800 candidates and 10 rounds, at horizon 1 and 2;
- ``cem``: 32 candidates and 3 rounds, about what iCEM (arXiv:2008.06389) gets by with.

Floating-point operations are those of matrix products, an m × k by k × n one counting 2mkn, each
counted once whatever the implementation repeats. With n = N + 2 tokens of width w per frame, MLPs
of width f, L blocks, and latents of width D, imagining step h = 0 … H - 1 of a candidate costs

    L · (2nw(4w + 2f) + 4n · (h + 1)n · w) + 4NDw + 2(A + P)w,

and encoding a frame in N patches of p values with width W, hidden width F and depth K

    K · (2NW(4W + 2F) + 4N²W) + 2NpW.

A plan encodes one frame and imagines samples × iterations candidates; the published search also
the mean that it ends with. The rate achieved is their sum over the median plan's time, from frames
on the device to actions on the host; the ceiling is the best rate of square matrix products.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from worldmodel.devices import device_name, usable_device
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.files.atomic import write_json
from worldmodel.latency.harness import Latency, Workload, matmul_ceiling, measure
from worldmodel.planners import (
    CEM,
    VJEPA2AC,
    CEMConfig,
    LatentDistance,
    Objective,
    Planner,
    TotalEnergy,
    VJEPA2ACConfig,
)
from worldmodel.precision import has_bfloat16
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.presets import preset

RESULTS = Path(__file__).parent / "results"
WARMUP, PROFILED = 2, 3  # plans
Search = CEMConfig | VJEPA2ACConfig
Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """What is measured.

    Attributes:
        published: Candidates and rounds of the published search.
        frugal: The same of the CEM.
        plans: Timed plans per row, unless told.
        encoder: Other sizes than those of the preset ``encoder=vitg``.
        predictor: Other sizes than those of the preset ``predictor=vjepa2_ac``.
    """

    published: tuple[int, int]
    frugal: tuple[int, int]
    plans: int
    encoder: Mapping[str, Any] = field(default_factory=dict)
    predictor: Mapping[str, Any] = field(default_factory=dict)

    def models(self) -> tuple[EncoderConfig, TokenPredictorConfig]:
        """Sizes of encoder and predictor."""
        encoder: EncoderConfig = preset("encoder", "vitg", **self.encoder)
        model: TokenPredictorConfig = preset("predictor", "vjepa2_ac", model=self.predictor).model
        return encoder, replace(model, tokens=encoder.grid**2, token_width=encoder.width)

    def searches(self) -> list[Search]:
        """Settings of the searches, those that take longest last."""
        samples, iterations = self.published
        few, rounds = self.frugal
        published = VJEPA2ACConfig(samples=samples, iterations=iterations)
        frugal = CEMConfig(
            samples=few,
            iterations=rounds,
            elites=min(10, few),
            proposals=0,
            receding_horizon=1,
            active_dims=(0, 1, 2, 6),
        )
        horizons: Sequence[int] = (1, 2)
        return [replace(search, horizon=h) for search in (frugal, published) for h in horizons]


FULL = Size((800, 10), (32, 3), plans=50)
_SMALL = {"width": 128, "depth": 3, "heads": 4, "mlp_ratio": 4.0}
REDUCED = Size((64, 3), (16, 2), plans=10, encoder={"image_size": 128, **_SMALL}, predictor=_SMALL)


def encoder_flops(config: EncoderConfig) -> int:
    """Operations of encoding one frame; the formula is at the top."""
    tokens, width, hidden = config.grid**2, config.width, round(config.width * config.mlp_ratio)
    block = 2 * tokens * width * (4 * width + 2 * hidden) + 4 * tokens**2 * width
    patch = 3 * config.tubelet * config.patch_size**2
    return config.depth * block + 2 * tokens * patch * width


def rollout_flops(config: TokenPredictorConfig, horizon: int) -> int:
    """Operations of imagining one candidate after one frame; the formula is at the top."""
    tokens, width = config.tokens + 2, config.width
    hidden = round(width * config.mlp_ratio)
    conditions = config.action_width + config.state_width + 3 * (not config.raw_inputs)
    ends = 4 * config.tokens * config.token_width * width + 2 * conditions * width
    linear = 2 * tokens * width * (4 * width + 2 * hidden)
    return sum(
        config.depth * (linear + 4 * tokens * (h + 1) * tokens * width) + ends
        for h in range(horizon)
    )


def rollouts(search: Search) -> int:
    """Candidates that a plan imagines."""
    return search.samples * search.iterations + isinstance(search, VJEPA2ACConfig)


def run(
    size: Size, device: torch.device, plans: int, memory: int, fused: bool, path: Path
) -> dict[str, Any]:
    """Measure every search and write the report, row by row."""
    dtype = torch.bfloat16 if has_bfloat16(device) else torch.float32
    encoder, predictor = size.models()
    with torch.device(device):
        world = TokenWorld(
            FrozenEncoder(VideoTransformer(encoder)), TokenPredictor(predictor), memory=memory
        ).to(dtype)
    if fused:
        world.fuse()
    load = _workload(world, device)
    ceiling = matmul_ceiling(device, dtype).best / 1e3
    report: dict[str, Any] = {
        "device": device_name(device),
        "torch": torch.__version__,
        "dtype": str(dtype).removeprefix("torch."),
        "fused": fused,
        "encoder": asdict(encoder),
        "predictor": asdict(predictor),
        "rollout_memory_gib": memory / 2**30,
        "ceiling_tflops": ceiling,
        "rows": [],
    }
    high = torch.tensor([0.075] * 3 + [0.25] * 3 + [0.75], device=device)
    for search in size.searches():
        planner: Planner[Any] = (
            CEM(search, -high, high)
            if isinstance(search, CEMConfig)
            else VJEPA2AC(search, -high, high)
        )
        latency = measure(load, planner, plans=plans, warmup=WARMUP, profiled=PROFILED)
        flops = rollouts(search) * rollout_flops(predictor, search.horizon)
        row = _row(search, latency, flops, encoder_flops(encoder), ceiling)
        report["rows"].append(row)
        write_json(path, report)
        print(line(row), flush=True)
    return report


def _workload(world: TokenWorld, device: torch.device) -> Workload:
    """One episode of noise: what it shows makes no difference to the time."""
    noise = torch.Generator().manual_seed(0)
    side = world.image_size
    frames = torch.randint(256, (2, 1, 1, side, side, 3), generator=noise).to(torch.uint8)
    frame, goal = frames.to(device)
    state = torch.rand(1, 1, world.predictor.config.state_width, generator=noise).to(device)
    goals = world.encode(goal)[:, 0]
    return Workload(world, Objective(TotalEnergy(LatentDistance(goals))), frame, state, goals)


def _row(search: Search, latency: Latency, search_flops: int, encoder: int, ceiling: float) -> Row:
    p50 = latency.percentile(50)
    achieved = (search_flops + encoder) / p50 / 1e9
    return {
        "planner": "cem" if isinstance(search, CEMConfig) else "vjepa2_ac",
        "samples": search.samples,
        "iterations": search.iterations,
        "horizon": search.horizon,
        "rollouts": rollouts(search),
        "plans": len(latency.plan_ms),
        "p50_ms": p50,
        "p90_ms": latency.percentile(90),
        "p99_ms": latency.percentile(99),
        "first_ms": latency.first_ms,
        "search_tflop": search_flops / 1e12,
        "encoder_tflop": encoder / 1e12,
        "achieved_tflops": achieved,
        "of_ceiling": achieved / ceiling,
        "peak_mb": latency.peak_mb,
        "split_ms": latency.split_ms,
    }


HEAD = (
    "planner       S   I   H    p50 ms    p90 ms    p99 ms    TFLOP  TFLOP/s  of ceiling  peak MiB"
)


def line(row: Row) -> str:
    """A row of the table under ``HEAD``."""
    times = "".join(f"{row[key]:10.1f}" for key in ("p50_ms", "p90_ms", "p99_ms"))
    total = row["search_tflop"] + row["encoder_tflop"]
    return (
        f"{row['planner']:<10}{row['samples']:5}{row['iterations']:4}{row['horizon']:4}{times}"
        f"{total:9.4g}{row['achieved_tflops']:9.4g}{row['of_ceiling']:12.0%}{row['peak_mb']:10.0f}"
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run the script; 1 where its options cannot be followed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    available = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=available, help=f"default here: {available}")
    parser.add_argument("--reduced", action="store_true", help="small models, as on a CPU")
    parser.add_argument("--eager", action="store_true", help="compile nothing")
    parser.add_argument("--plans", type=int, help="timed plans per row")
    parser.add_argument("--memory", type=float, default=4.0, help="GiB to imagine candidates in")
    parser.add_argument("--out", type=Path, help="JSON to write, else one in benchmarks/results/")
    given = parser.parse_args(words)
    try:
        device = usable_device(given.device)
        reduced = given.reduced or device.type == "cpu"
        size = REDUCED if reduced else FULL
        plans = size.plans if given.plans is None else given.plans
        if plans < 1 or given.memory <= 0:
            raise UserError(
                f"Expected --plans of at least 1 and --memory above 0, got {plans} and "
                f"{given.memory:g}"
            )
        fused = device.type == "cuda" and not given.eager
        path = given.out or RESULTS / _file(device, reduced, fused)
        print(f"{device_name(device)}{', reduced' * reduced}\n{HEAD}", flush=True)
        report = run(size, device, plans, round(given.memory * 2**30), fused, path)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{report['dtype']}, ceiling {report['ceiling_tflops']:.3g} TFLOP/s, written to {path}")
    return 0


def _file(device: torch.device, reduced: bool, fused: bool) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")
    eager = device.type == "cuda" and not fused
    return f"vjepa2_ac{'-reduced' * reduced}-{name}{'-eager' * eager}.json"


if __name__ == "__main__":
    sys.exit(main())
