from __future__ import annotations

import gc
import itertools
from dataclasses import replace

import pytest
import torch

from worldmodel.latency.harness import Workload, matmul_ceiling, measure
from worldmodel.latency.plain import PlainCEM
from worldmodel.planners import CEM, CEMConfig, LatentDistance, Objective, TotalEnergy, compiled

CONFIG = CEMConfig(samples=8, iterations=2, horizon=2, elites=4, receding_horizon=1, proposals=0)
CPU = torch.device("cpu")


@pytest.fixture
def workload(point):
    """A world whose every rollout is one product of known size, and whose encoder is another."""

    class Multiplying(point.World):
        weight = torch.zeros(16, 16)

        def encode(self, frames):
            torch.zeros(10, 16) @ self.weight
            return torch.zeros(len(frames), 1, 1, 3)

        def rollout(self, latents, states, actions):
            torch.zeros(len(latents), 16) @ self.weight
            return super().rollout(latents, states, actions)

    objective = Objective(TotalEnergy(LatentDistance(torch.ones(2, 1, 3))))
    frames = torch.zeros(2, 1, 1, 1, 3, dtype=torch.uint8)
    return Workload(Multiplying(), objective, frames, torch.zeros(2, 1, 3), torch.zeros(2, 1, 3))


def timed(workload, planner, **options):
    return measure(workload, planner, **{"plans": 7, "warmup": 3, **options})


def test_counts_the_operations_of_encoding_and_of_every_rollout(workload, point):
    colouring = CONFIG.iterations * 2 * 2 * 2 * 3 * CONFIG.samples  # [H,H] @ [S,H,A]
    latency = timed(workload, CEM(CONFIG, *point.bounds()))
    assert latency.flops == 2 * 16 * 16 * (10 + CONFIG.iterations * 2) + colouring
    # Textbook CEM: once per step, for each candidate.
    rows = 2 * CONFIG.iterations * CONFIG.samples * CONFIG.horizon
    plain = timed(workload, PlainCEM(CONFIG, *point.bounds()))
    assert plain.flops == 2 * 16 * 16 * (10 + rows)


def test_what_is_compiled_stays_so_once_its_operations_are_counted(workload, point, monkeypatch):
    calls = []

    class Silent(type(workload.world)):  # remembers nothing that would make it compile again
        def rollout(self, latents, states, actions):
            path = latents[:, None, -1:, 0] + actions.cumsum(2)
            return point.Imagined(path[..., None, :], path, actions, latents[:, -1], states[:, -1])

    def counting(graph, inputs):
        return lambda *given: (calls.append(len(given)), graph(*given))[1]

    torch._dynamo.reset()
    rollout = torch.compile(compiled._rollout, backend=counting)
    monkeypatch.setattr("worldmodel.planners.problem.compiled_rollout", lambda world: rollout)
    monkeypatch.setattr("worldmodel.planners.problem.compiled_judge", lambda world: compiled._judge)
    fast = replace(workload, world=Silent(), compiled=True)
    counts = []
    for _ in range(2):
        calls.clear()
        timed(fast, CEM(CONFIG, *point.bounds()))
        counts.append(len(calls))
    assert counts[0] == counts[1] >= 10 * CONFIG.iterations


def test_attention_counts_on_a_cpu(workload, point):
    before = timed(workload, PlainCEM(CONFIG, *point.bounds())).flops
    encode = workload.world.encode

    def attending(frames):
        q, k = torch.zeros(1, 2, 5, 8), torch.zeros(1, 2, 7, 8)
        torch.nn.functional.scaled_dot_product_attention(q, k, k)
        return encode(frames)

    workload.world.encode = attending
    after = timed(workload, PlainCEM(CONFIG, *point.bounds())).flops
    assert after - before == 2 * (2 * 5 * 7 * 8) * 2


def test_times_every_plan_after_the_warm_up_and_the_first_apart(workload, point, clock):
    clock.reading = 1.0
    seconds = iter([100, 0, 0, 1, 2, 3, 4, 5, 6, 7] + [0] * 100)
    encode = workload.world.encode

    def slow(frames):
        clock.sleep(next(seconds))
        return encode(frames)

    workload.world.encode = slow
    latency = timed(workload, CEM(CONFIG, *point.bounds()))
    assert latency.first_ms == 101e3
    assert latency.plan_ms.tolist() == [2e3, 3e3, 4e3, 5e3, 6e3, 7e3, 8e3]
    assert latency.percentile(50) == 5e3
    assert latency.percentile(100) == 8e3


def test_splits_the_time(workload, point, clock):
    clock.reading = 1e-3
    latency = timed(workload, CEM(CONFIG, *point.bounds()))
    assert {"encode", "rollout", "energy", "update"} <= set(latency.split_ms)
    assert all(ms > 0 for ms in latency.split_ms.values())


def test_plans_are_warm_started_as_an_agent_would(workload, point):
    config = CEMConfig(
        samples=8, iterations=1, horizon=4, elites=4, receding_horizon=1, proposals=0
    )
    timed(workload, CEM(config, *point.bounds()))
    first, second = workload.world.candidates[:2]
    assert (first[:, -1] == 0).all()
    assert (second[:, -1] != 0).any()


def test_peak_memory_is_that_of_the_plans_measured(workload, point):
    def peak():
        gc.collect()  # what other tests left behind comes and goes by tens of MiB
        return timed(workload, CEM(CONFIG, *point.bounds())).peak_mb

    encode = workload.world.encode

    def hungry(frames):
        torch.ones(400, 2**18)  # 400 MiB
        return encode(frames)

    peak()  # what is allocated once
    lean = peak()
    workload.world.encode = hungry
    fat = peak()
    assert fat > lean + 250
    workload.world.encode = encode
    assert peak() < fat - 250


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ceiling_is_of_the_fastest_product_and_of_the_median_one_in_the_asked_precision(
    dtype, monkeypatch, clock
):
    asked = set()
    takes = itertools.cycle([1.0, 4.0, 2.0])

    def seen(left, right, out):
        asked.update((left.dtype, right.dtype, out.dtype))
        clock.sleep(next(takes))

    monkeypatch.setattr(torch, "mm", seen)
    best, sustained = matmul_ceiling(CPU, dtype, seconds=7.0)
    operations = 2 * 2048**3
    assert best == pytest.approx(operations / 1.0 / 1e9)
    assert sustained == pytest.approx(operations / 2.0 / 1e9)
    assert asked == {dtype}
