"""The benchmark of the full-size V-JEPA 2-AC counts and reports right; at a tiny size."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import VideoTransformer
from worldmodel.latency.harness import measure
from worldmodel.planners import VJEPA2AC
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor


@pytest.fixture
def script(script_named):
    return script_named("vjepa2_ac")


@pytest.fixture
def tiny(script):
    small = {"width": 24, "depth": 2, "heads": 2, "mlp_ratio": 3.0}
    return script.Size(
        published=(12, 2),
        frugal=(4, 2),
        plans=2,
        encoder={"image_size": 32, **small},
        predictor=small,
    )


def test_the_operations_are_those_that_a_plan_makes(script, tiny):
    encoder, predictor = tiny.models()
    world = TokenWorld(FrozenEncoder(VideoTransformer(encoder)), TokenPredictor(predictor))
    load = script._workload(world, torch.device("cpu"))
    for search in tiny.searches()[2:]:
        planner = VJEPA2AC(search, -torch.ones(7), torch.ones(7))
        counted = measure(load, planner, plans=1, warmup=1, profiled=1)
        rollouts = search.samples * search.iterations + 1
        assert counted.flops == script.encoder_flops(encoder) + rollouts * script.rollout_flops(
            predictor, search.horizon
        )


def test_at_full_size_the_published_search_is_1_3_petaflop(script):
    encoder, predictor = script.FULL.models()
    assert (encoder.width, encoder.depth, encoder.heads, encoder.image_size) == (1408, 40, 22, 256)
    assert (predictor.width, predictor.depth, predictor.heads) == (1024, 24, 16)
    assert (predictor.tokens, predictor.token_width) == (256, 1408)
    *frugal, published, longer = script.FULL.searches()
    assert (published.samples, published.iterations, published.horizon) == (800, 10, 1)
    assert longer == replace(published, horizon=2)
    assert [script.rollouts(search) for search in frugal] == [96, 96]
    total = script.rollouts(published) * script.rollout_flops(predictor, 1)
    assert total == pytest.approx(1.31e15, rel=5e-3)


def test_on_a_cpu_a_small_model_is_measured_and_reported_with_the_device(
    script, tiny, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(script, "REDUCED", tiny)
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    assert script.main(["--device", "cpu", "--memory", "0.0001"]) == 0
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("vjepa2_ac-reduced-")
    report = json.loads(path.read_text())
    assert report["device"] in capsys.readouterr().out
    sizes = [(row["planner"], row["rollouts"], row["horizon"]) for row in report["rows"]]
    assert sizes == [("cem", 8, 1), ("cem", 8, 2), ("vjepa2_ac", 25, 1), ("vjepa2_ac", 25, 2)]
    for row in report["rows"]:
        assert row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert row["of_ceiling"] == row["achieved_tflops"] / report["ceiling_tflops"]
        assert row["achieved_tflops"] == pytest.approx(
            (row["search_tflop"] + row["encoder_tflop"]) / row["p50_ms"] * 1e3
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "nonsense"], "device=nonsense cannot be used"),
        (["--plans", "0"], "--plans of at least 1"),
        (["--memory", "0"], "--memory above 0"),
    ],
)
def test_options_that_cannot_be_followed_are_told(script, words, message, capsys):
    assert script.main(words) == 1
    assert message in capsys.readouterr().err
