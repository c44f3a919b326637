"""What each step towards faster plans was to bring, and what it brings.

Usage: python benchmarks/steps.py [--threads 1] [--rounds 3] [--plans 5] [--compile]

A step is a pair of plans, one without and one with it, timed in turn, several times each. What was
*predicted* is the ratio of their operations; for half precision, of the rates that the machine
multiplies matrices at. Where a step changes no operations that is 1, and what comes is memory
traffic, dispatch, and cores that wait. What *came* is the ratio of the medians of their times.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from worldmodel.devices import device_name
from worldmodel.files.atomic import write_json
from worldmodel.latency.harness import Workload, matmul_ceiling, measure
from worldmodel.latency.plain import PlainCEM
from worldmodel.latency.subjects import token_subject, untrained_tokens, vector_subject
from worldmodel.latency.uncached import UncachedTokenWorld
from worldmodel.planners import (
    CEM,
    ICEM,
    CEMConfig,
    CoarseToFine,
    ICEMConfig,
    Objective,
    Planner,
    TotalEnergy,
    Trajectory,
    UncertaintyPenalty,
    World,
)
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.weights.world import load_vector_world

RESULTS = Path(__file__).parent / "results" / "steps.json"
CPU = torch.device("cpu")
HIGH = torch.full((7,), 0.05)


class Plans(NamedTuple):
    """What is planned for, and by what."""

    workload: Workload
    planner: Planner[Any]


@dataclass(frozen=True)
class Step:
    """A pair of plans.

    Attributes:
        name: Of what sets them apart.
        without: Plans as they were.
        with_it: Plans as they are.
        predicted: Ratio of times; None for that of operations.
    """

    name: str
    without: Plans
    with_it: Plans
    predicted: float | None = None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all steps, print and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plans", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="the compiler as well: minutes")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    steps = [*vector_steps(), *([compiled()] if given.compile else []), *token_steps()]
    rows = []
    for step in steps:
        if step.predicted is not None and step.predicted < 1:  # emulated: hours
            print(f"{step.name:<66} left out: this machine is slower with it", flush=True)
            continue
        rows.append(compare(step, given.rounds, given.plans))
        print(
            "{name:<66} predicted {predicted:5.2f} x   came {came:5.2f} x".format(**rows[-1]),
            flush=True,
        )
        write_json(RESULTS, {"device": device_name(CPU), "rows": rows})


def compare(step: Step, rounds: int, plans: int) -> dict[str, Any]:
    """The ratios of operations and of times."""
    times: tuple[list[float], list[float]] = ([], [])
    flops = [0, 0]
    for _ in range(rounds):  # in turn, as a machine's pace changes
        for side, (workload, planner) in enumerate((step.without, step.with_it)):
            found = measure(workload, planner, plans=plans, warmup=1, profiled=0)
            times[side].extend(found.plan_ms.tolist())
            flops[side] = found.flops // len(workload.frames)
    before, after = (float(torch.tensor(side).median()) for side in times)
    episodes = len(step.with_it.workload.frames) / len(step.without.workload.frames)
    predicted = flops[0] / flops[1] if step.predicted is None else step.predicted
    return {
        "name": step.name,
        "predicted": predicted,
        "came": before / after * episodes,
        "ms": [before, after],
    }


def tokens(cache: int = 4 * 2**20) -> TokenWorld:
    """Of 64 patch tokens, with weights that are always the same."""
    torch.manual_seed(0)
    world = untrained_tokens(64)
    world.cache = cache
    return world


class CopyingWorld:
    """A token world that writes nothing in place, and copies keys and values, as with gradients."""

    stride = 1

    def __init__(self, world: TokenWorld) -> None:
        self.encode, self.project, self._rollout = world.encode, world.project, world.rollout

    @torch.enable_grad()
    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Trajectory:
        """As the world's own."""
        return self._rollout(latents, states, actions)


def token_steps() -> list[Step]:
    """Of a predictor of patch tokens, 64 candidates in one round, 5 steps ahead."""
    search = CEMConfig(samples=64, iterations=1, horizon=5, proposals=0)
    plain, fast = PlainCEM(search, -HIGH, HIGH), CEM(search, -HIGH, HIGH)

    def work(world: World) -> Workload:
        return replace(token_subject(patches).workload(1, CPU, seed=0), world=world)

    patches, whole = tokens(), tokens(cache=2**40)
    textbook = Plans(work(UncachedTokenWorld(patches)), plain)
    tabled = Plans(work(UncachedTokenWorld(patches, textbook=False)), plain)
    copied = Plans(work(CopyingWorld(whole)), fast)
    kept, blocks = Plans(work(whole), fast), Plans(work(patches), fast)
    half = Plans(work(tokens().imagine_in(torch.bfloat16)), fast)
    return [
        Step("patch tokens: rotary angles worked out once", textbook, tabled),
        Step("patch tokens: keys and values kept, so that no mask is needed", tabled, copied),
        Step("patch tokens: ... and all written in place, not copied", copied, kept),
        Step("patch tokens: candidates in blocks that fit the cache", kept, blocks),
        Step("patch tokens: all of this", textbook, blocks),
        Step("patch tokens: bfloat16", blocks, half, _rates()),
    ]


def cem() -> CEM:
    """The default search, at the horizon of pushing."""
    return CEM(CEMConfig(samples=96, iterations=3, horizon=12), -HIGH, HIGH)


def vector_steps() -> list[Step]:
    """Of the included world, on pushes."""
    base = Plans(_work(load_vector_world("default")), cem())
    half = _work(load_vector_world("default").imagine_in(torch.bfloat16))
    fewer = ICEM(ICEMConfig(horizon=12), -HIGH, HIGH)
    many = vector_subject(load_vector_world("default")).workload(16, CPU, seed=0)
    return [
        Step(
            "vector world: all critics for the best 24 of 96 only", base, Plans(_rescored(), cem())
        ),
        Step("vector world: bfloat16", base, Plans(half, cem()), _rates()),
        Step(
            "vector world: iCEM, 48 + 34 + 24 candidates, for CEM, 3 x 96",
            base,
            Plans(base.workload, fewer),
        ),
        Step("vector world: 16 episodes in one batch, per episode", base, Plans(many, cem())),
    ]


def compiled() -> Step:
    """``torch.compile`` on the included world."""
    world = load_vector_world("default")
    eager = _work(world)
    fast = replace(eager, compiled=True)
    return Step("vector world: torch.compile", Plans(eager, cem()), Plans(fast, cem()))


def _work(world: VectorWorld) -> Workload:
    return vector_subject(world).workload(1, CPU, seed=0)


def _rescored() -> Workload:
    world = load_vector_world("default")
    work = _work(world)
    goals = work.goals
    assert goals is not None
    rough: Callable[..., Any] = world.goal_energy(goals, critics=1)
    fine = TotalEnergy(
        world.goal_energy(goals), UncertaintyPenalty(*world.uncertainties["disagreement"])
    )
    return replace(work, objective=Objective(CoarseToFine(fine, rough, 24), world.prior(goals)))


def _rates() -> float:
    """How much faster matrices are multiplied in half precision."""
    half, full = (matmul_ceiling(CPU, dtype).best for dtype in (torch.bfloat16, torch.float32))
    return half / full


if __name__ == "__main__":
    main()
