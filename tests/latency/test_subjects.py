from __future__ import annotations

import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.latency.plain import imagine_afresh
from worldmodel.latency.subjects import token_subject, token_world, vector_subject
from worldmodel.planners import CEM, CEMConfig, Problem
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.weights.world import save_world

CPU = torch.device("cpu")


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    sizes = EncoderConfig(image_size=24, width=24, depth=1, heads=2)
    return FrozenEncoder(VideoTransformer(sizes))


@pytest.fixture(params=["vector", "random tokens", "trained tokens"])
def subject(request, encoder, tmp_path):
    if request.param == "vector":
        sizes = VectorPredictorConfig(tokens=4, token_width=24, width=8, head_width=8, members=1)
        return vector_subject(VectorWorld(encoder, VectorPredictor(sizes)))
    if request.param == "random tokens":
        return token_subject(token_world("random", encoder))
    sizes = TokenPredictorConfig(tokens=4, token_width=24, width=12, depth=2, heads=2)
    save_world(tmp_path, TokenWorld(encoder, TokenPredictor(sizes)), {})
    return token_subject(token_world(str(tmp_path), encoder))


def problem(subject, world, episodes=2):
    workload = subject.workload(episodes, CPU, seed=0)
    latents = world.project(world.encode(workload.frames), workload.reference)
    return Problem(world, latents, workload.states, *workload.objective)


@torch.inference_mode()
def test_the_baseline_imagines_the_same_future(subject):
    fast, plain = problem(subject, subject.world), problem(subject, subject.plain_world)
    candidates = 0.05 * torch.randn(2, 3, 6, subject.action_width)
    expected = subject.world.rollout(fast.latents, fast.states, candidates)
    afresh = imagine_afresh(plain, candidates)
    torch.testing.assert_close(afresh.states, expected.states)
    torch.testing.assert_close(afresh.latents, expected.latents, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("tiled", [False, True])
def test_at_the_size_of_the_benchmark_energies_are_those_of_the_textbook(tiled):
    torch.manual_seed(0)
    images = EncoderConfig(image_size=64, patch_size=8, width=128, depth=1)
    frames = FrozenEncoder(VideoTransformer(images))
    sizes = TokenPredictorConfig(
        tokens=64, token_width=128, width=256, depth=6, context_frames=1, tiled_rope=tiled
    )
    predictor = TokenPredictor(sizes)
    for layer in (predictor.action_encoder, predictor.predictor_proj):
        layer.weight.data.normal_(std=0.5)  # or actions would hardly matter yet
    subject = token_subject(TokenWorld(frames, predictor))
    fast, plain = (problem(subject, w, 1) for w in (subject.world, subject.plain_world))
    candidates = 0.05 * torch.randn(1, 6, 5, subject.action_width)
    energy, _ = fast.energy(subject.world.rollout(fast.latents, fast.states, candidates))
    expected, _ = plain.energy(imagine_afresh(plain, candidates))
    torch.testing.assert_close(energy, expected, atol=1e-4, rtol=0)
    assert energy.std() > 1e-4


def test_a_plan_can_be_made(subject):
    high = torch.full((subject.action_width,), 0.05)
    cem = CEM(CEMConfig(samples=4, iterations=2, horizon=4, elites=2, proposals=2), -high, high)
    plan, _ = cem.plan(
        problem(subject, subject.world), cem.init(2), generator=torch.Generator().manual_seed(0)
    )
    assert plan.energy.isfinite().all()
