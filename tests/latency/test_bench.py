from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.latency.bench import BenchConfig, TokenGrid, run_bench
from worldmodel.planners import (
    VJEPA2AC,
    CEMConfig,
    HierarchicalConfig,
    RetrievalConfig,
    VJEPA2ACConfig,
    compiled,
)
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.weights.world import save_world

HIGH_LEVEL = CEMConfig(samples=8, horizon=2, elites=3, proposals=2, active_dims=tuple(range(6)))
ROW = {
    "planner": str,
    "samples": int,
    "horizon": int,
    "iterations": int,
    "episodes": int,
    "p50_ms": float,
    "p90_ms": float,
    "p99_ms": float,
    "max_ms": float,
    "first_ms": float,
    "rollouts_per_s": float,
    "achieved_gflops": float,
    "ceiling_gflops": float,
    "peak_mb": float,
    "split": dict,
}


@pytest.fixture(autouse=True)
def _each_look_at_the_clock_takes_its_time(clock):
    clock.reading = 0.1  # by which the ceiling's products are as few as can be


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    encoder = VideoTransformer(EncoderConfig(image_size=24, width=24, depth=1, heads=2))
    sizes = VectorPredictorConfig(tokens=4, token_width=24, width=8, head_width=8)
    world = VectorWorld(FrozenEncoder(encoder), VectorPredictor(sizes))
    world.predictor.macros.trained.fill_(True)
    world.predictor.memory.fill(
        torch.randn(6, world.predictor.memory.latents.shape[1]), torch.arange(6)
    )
    folder = tmp_path_factory.mktemp("world")
    save_world(folder, world, {})
    return str(folder)


@pytest.fixture
def config(checkpoint, tmp_path):
    return BenchConfig(
        out=str(tmp_path / "bench"),
        checkpoint=checkpoint,
        planner=CEMConfig(elites=6),
        samples=(4, 8),
        horizon=(4,),
        iterations=(2,),
        tokens=TokenGrid(checkpoint=None),
        plans=3,
        warmup=1,
        dtype="float32",
    )


def report(config):
    with open(f"{config.out}/latency.json", encoding="utf-8") as file:
        return json.load(file)


@pytest.mark.slow
def test_writes_the_schema_for_every_size_and_both_planners(config, capsys):
    found = run_bench(config)
    objective = found.p50_ms
    written = report(config)
    own = [row["p50_ms"] for row in written["rows"] if row["planner"] == "cem"]
    assert objective == pytest.approx(sum(own) / 2)  # the median of two
    assert set(written) == {"device", "dtype", "compile", "rows"}
    assert written["dtype"] == "float32"
    sizes = [(row["samples"], row["iterations"], row["planner"]) for row in written["rows"]]
    assert sizes == [(s, 2, planner) for s in (4, 8) for planner in ("cem", "plain")]
    for row in written["rows"]:
        assert {name: type(value) for name, value in row.items()} == ROW
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert {"encode", "rollout", "energy", "update"} <= set(row["split"])
        rollouts = row["samples"] * row["iterations"]
        assert row["rollouts_per_s"] == pytest.approx(1e3 * rollouts / row["p50_ms"])
        assert 0 < row["achieved_gflops"] < row["ceiling_gflops"]
    assert all(word in str(found) for word in ("plain", "p99", "speed-up"))


def test_a_token_world_is_measured_beside(config, capsys):
    tokens = TokenGrid(samples=(2,), horizon=(6,), iterations=(1,))
    found = run_bench(replace(config, samples=(8,), iterations=(1,), tokens=tokens))
    rows = {row["planner"]: row for row in report(config)["rows"]}
    assert list(rows) == ["cem", "plain", "cem-tokens", "plain-tokens"]
    assert (rows["cem-tokens"]["samples"], rows["cem-tokens"]["horizon"]) == (2, 6)
    # The speed-up is taken against the plain row of the same world.
    (line,) = (s for s in str(found).splitlines() if s.startswith("cem-tokens"))
    gain = rows["plain-tokens"]["p50_ms"] / rows["cem-tokens"]["p50_ms"]
    assert f"{gain:.1f}x" in line


def test_episodes_are_planned_at_once(config):
    run_bench(replace(config, samples=(8,), iterations=(1,), episodes=(1, 3), plain=False))
    assert [(row["planner"], row["episodes"]) for row in report(config)["rows"]] == [
        ("cem", 1),
        ("cem", 3),
    ]


@pytest.mark.parametrize(
    ("name", "planner"),
    [
        ("hierarchical", HierarchicalConfig(high_level=HIGH_LEVEL, replan_every=1)),
        ("retrieval", RetrievalConfig(links=4, replan_every=1)),
    ],
)
def test_two_time_scales_are_measured_over_fast_levels_of_these_sizes(config, name, planner):
    tokens = TokenGrid(samples=(2,), horizon=(6,), iterations=(1,))
    run_bench(
        replace(
            config, planner=planner, samples=(4, 8), iterations=(1,), plain=False, tokens=tokens
        )
    )
    rows = report(config)["rows"]
    assert [(r["planner"], r["samples"]) for r in rows] == [(name, 4), (name, 8), ("cem-tokens", 2)]
    assert "high_level" in rows[0]["split"]


def test_the_published_search_is_measured_where_it_is_asked_for(config, monkeypatch):
    asked, plan = [], VJEPA2AC.plan

    def watched(planner, *arguments, **options):
        asked.append(planner.config)
        return plan(planner, *arguments, **options)

    monkeypatch.setattr(VJEPA2AC, "plan", watched)
    tokens = TokenGrid(samples=(2,), horizon=(1,), iterations=(2,))
    search = VJEPA2ACConfig(elites=3)
    run_bench(replace(config, planner=search, samples=(4,), horizon=(2,), tokens=tokens))
    rows = report(config)["rows"]
    assert [row["planner"] for row in rows] == [
        "vjepa2_ac",
        "plain",
        "vjepa2_ac-tokens",
        "plain-tokens",
    ]
    sizes = {(made.samples, made.horizon, made.iterations, made.elites) for made in asked}
    assert sizes == {(4, 2, 2, 3), (2, 1, 2, 2)}


def test_with_compile_rows_are_planned_with_what_is_compiled(config, monkeypatch):
    made = []

    def kept(name):
        whole = getattr(compiled, f"_{name}")

        def call(*args):
            made.append(name)
            return whole(*args)

        return lambda world: call

    for name in ("rollout", "judge"):
        monkeypatch.setattr(f"worldmodel.planners.problem.compiled_{name}", kept(name))
    monkeypatch.setattr("worldmodel.latency.bench.require_compiler", lambda: made.append("asked"))
    monkeypatch.setattr(TokenWorld, "fuse", lambda self: made.append("fused") or self)
    tokens = TokenGrid(samples=(2,), horizon=(6,), iterations=(1,))
    run_bench(replace(config, samples=(4,), plain=False, tokens=tokens, compile=True))
    assert report(config)["compile"]
    assert made[:2] == ["asked", "fused"]
    assert made.count("rollout") == made.count("judge") > config.plans


def test_bfloat16_is_measured_as_such(config):
    run_bench(replace(config, samples=(8,), iterations=(1,), dtype="bfloat16", plain=False))
    assert report(config)["dtype"] == "bfloat16"


def test_rows_are_there_as_soon_as_measured(config, monkeypatch):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("worldmodel.latency.bench.PlainCEM", killed)
    with pytest.raises(KeyboardInterrupt):
        run_bench(config)
    assert [row["planner"] for row in report(config)["rows"]] == ["cem"]


def test_an_unwritable_output_is_refused_before_measuring(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"out=.*file/bench"):
        run_bench(replace(config, out=str(tmp_path / "file" / "bench")))


def test_a_device_that_is_not_there_is_refused(config):
    with pytest.raises(UserError, match="device=nonsense cannot be used"):
        run_bench(replace(config, device="nonsense"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "float8"}, "dtype to be one of auto, float32"),
        ({"plans": 0}, r"plans\n.* or equal to 1"),
        ({"samples": ()}, r"samples\n.* at least 1 item"),
        ({"horizon": (0,)}, r"horizon.0\n.* or equal to 1"),
    ],
)
def test_impossible_settings_are_refused(config, change, message):
    with pytest.raises(ValueError, match=message):
        replace(config, **change)
