"""How long planning takes, and how much of the machine it uses.

- ``measure``: one planner on one problem, from frames in to actions out.
- ``matmul_ceiling``: what the device can do at best and at length, measured and not looked up.

All times are taken after the device has finished. They hold for the machine and the number of
threads they were taken with, so ratios are only fair within one run.
"""

from __future__ import annotations

import math
import resource
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from worldmodel.planners import clock
from worldmodel.planners.problem import Objective, Planner, Problem
from worldmodel.planners.protocols import Trajectory, World
from worldmodel.planners.timing import synchronize

__all__ = ["Ceiling", "Latency", "Workload", "matmul_ceiling", "measure"]

StateT = TypeVar("StateT")

PROFILED_PLANS = 20  # enough for a mean per part; profiling all would disturb an accelerator


@dataclass(frozen=True)
class Workload:
    """What is planned for: B episodes, on the device to be measured.

    Attributes:
        world: World model.
        objective: Energies and policy prior, for the goals.
        frames: Context frames, ``uint8 [B, T, h, w, 3]``.
        states: Context states, ``[B, T, P]``.
        reference: What encoded frames are read beside, ``[B, N, D]``: the goal, encoded.
        goals: Goal latents, ``[B, N, D]``, for planners that look for a way there.
        compiled: Plan with what ``torch.compile`` made of world and energy.
    """

    world: World
    objective: Objective
    frames: Tensor
    states: Tensor
    reference: Tensor
    goals: Tensor | None = None
    compiled: bool = False


@dataclass(frozen=True)
class Latency:
    """Measurements of one planner.

    Attributes:
        plan_ms: Wall time of each plan after warm-up, milliseconds.
        first_ms: Of the very first.
        split_ms: Mean per part, from separate profiled plans.
        steps: Control steps that one plan imagined in the workload's world, over all candidates.
        flops: Floating-point operations of matrix products and attention in one plan.
        peak_mb: Most memory held: on an accelerator what its tensors took, else the whole process.
    """

    plan_ms: Tensor
    first_ms: float
    split_ms: dict[str, float]
    steps: int
    flops: int
    peak_mb: float

    def percentile(self, percent: float) -> float:
        """Milliseconds within which that many per cent of the plans were done."""
        return self.plan_ms.quantile(percent / 100).item()


def measure(
    workload: Workload,
    planner: Planner[StateT],
    *,
    plans: int,
    warmup: int,
    profiled: int = PROFILED_PLANS,
    seed: int = 0,
) -> Latency:
    """Time ``plans`` receding-horizon plans, each from encoding the frames to actions on the host.

    Args:
        workload: What to plan for; the same frames every time.
        planner: Its state is handed on from plan to plan, as an agent would.
        plans: Timed plans.
        warmup: Plans before them, the first of which is reported apart.
        profiled: Most further plans, timed part by part.
        seed: Of the search.
    """
    device = workload.frames.device
    generator = torch.Generator(device).manual_seed(seed)
    state = planner.init(len(workload.frames))
    split: dict[str, float] = {}

    @torch.no_grad()
    def once(
        world: World = workload.world, profile: bool = False, compiled: bool = workload.compiled
    ) -> float:
        nonlocal state
        synchronize(device)
        started = clock.now()
        latents = world.encode(workload.frames)
        latents = world.project(latents, workload.reference)
        if profile:
            synchronize(device)
            split["encode"] = split.get("encode", 0.0) + clock.now() - started
        problem = Problem(
            world,
            latents,
            workload.states,
            workload.objective.energy,
            workload.objective.proposal,
            workload.goals,
            compiled=compiled,
            referee=workload.objective.referee,
        )
        plan, state = planner.plan(problem, state, generator=generator, profile=profile)
        plan.actions.cpu()
        elapsed = clock.now() - started
        for part, seconds in plan.timings.items():
            split[part] = split.get(part, 0.0) + seconds
        state = planner.shift(state, planner.receding_horizon)
        return 1e3 * elapsed

    _reset_peak(device)
    first_ms = once()
    for _ in range(warmup - 1):
        once()
    plan_ms = torch.tensor([once() for _ in range(plans)], dtype=torch.float64)
    peak_mb = _peak_mb(device)
    profiled = min(plans, profiled)
    for _ in range(profiled):
        once(profile=True)
    with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
        # Uncompiled: what is compiled runs eagerly for ever once such a mode has looked on.
        once(counting := _Counting(workload.world), compiled=False)
    return Latency(
        plan_ms,
        first_ms,
        {part: 1e3 * seconds / profiled for part, seconds in split.items()},
        counting.steps,
        counter.get_total_flops(),
        peak_mb,
    )


class _Counting:
    """The world itself, and how many control steps it was asked to imagine."""

    def __init__(self, world: World) -> None:
        self._world, self.steps = world, 0
        self.stride, self.encode, self.project = world.stride, world.encode, world.project

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Trajectory:
        self.steps += actions.shape[:3].numel()
        return self._world.rollout(latents, states, actions)


class Ceiling(NamedTuple):
    """Rates of square matrix products, GFLOP/s.

    Attributes:
        best: Of the one product that was fastest: what the device can do.
        sustained: Of the median product of a size, at the best size: what it does while others
            have their share of it, too, as they have during a plan.
    """

    best: float
    sustained: float


def matmul_ceiling(device: torch.device, dtype: torch.dtype, seconds: float = 0.2) -> Ceiling:
    """The most that matrix products reach, over several sizes.

    Args:
        device: Where to multiply.
        dtype: Of the matrices.
        seconds: How long each size is tried.
    """
    sizes = (256, 512, 1024, 2048) if device.type == "cpu" else (1024, 2048, 4096, 8192)
    rates = [_matmul_rates(size, device, dtype, seconds) for size in sizes]
    return Ceiling(max(max(some) for some in rates), max(statistics.median(some) for some in rates))


def _matmul_rates(
    size: int, device: torch.device, dtype: torch.dtype, seconds: float
) -> list[float]:
    left, right = torch.randn(2, size, size, device=device).to(dtype)
    out = torch.empty_like(left)
    rates: list[float] = []
    spent = 0.0
    while spent < seconds:
        synchronize(device)
        started = clock.now()
        torch.mm(left, right, out=out)
        synchronize(device)
        elapsed = clock.now() - started
        spent += elapsed
        rates.append(2 * size**3 / elapsed / 1e9)
    return rates


def _attention_flops(
    query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *_: Any, **__: Any
) -> int:
    *outer, queries, width = query
    return 2 * math.prod(outer) * queries * key[-2] * (width + value[-1])


# The counter of torch knows the attention kernels of accelerators only.
_CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")  # Linux: forget the high-water mark, see proc(5)


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
