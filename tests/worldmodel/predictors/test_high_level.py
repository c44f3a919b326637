"""The slow world keeps what planners expect of a world, one macro per imagined step."""

from __future__ import annotations

import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.predictors.high_level import HighLevelWorld
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld

B, S, K, U, C, F = 2, 5, 3, 4, 6, 10
Z = C + F


@pytest.fixture(scope="module")
def fast() -> VectorWorld:
    torch.manual_seed(0)
    encoder = VideoTransformer(
        EncoderConfig(image_size=24, patch_size=12, width=16, depth=1, heads=2)
    )
    sizes = VectorPredictorConfig(
        tokens=4, token_width=16, object_width=C, width=16, depth=1, head_width=16, macro_width=U
    )
    predictor = VectorPredictor(sizes)
    predictor.state_features.fit(torch.rand(50, 7))
    predictor.macros.trained.fill_(True)
    return VectorWorld(FrozenEncoder(encoder), predictor)


@pytest.fixture(scope="module")
def world(fast: VectorWorld) -> HighLevelWorld:
    return HighLevelWorld(fast)


def _context(batch: int = B) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(B, 1, 1, Z, generator=generator)
    return latents[:batch], torch.rand(B, 1, 7, generator=generator)[:batch]


def _macros() -> torch.Tensor:
    return torch.randn(B, S, K, U, generator=torch.Generator().manual_seed(2))


def test_shapes_are_those_of_the_protocol(world: HighLevelWorld) -> None:
    imagined = world.rollout(*_context(), _macros())
    assert (world.stride, world.span, world.action_width) == (1, 8, U)
    assert imagined.latents.shape == (B, S, K, 1, Z)
    assert imagined.states.shape == (B, S, K, 7)
    assert imagined.members is None


def test_it_starts_where_proprioception_says_the_arm_is(world: HighLevelWorld) -> None:
    latents, states = _context()
    changed = latents.clone()
    changed[..., C:] += 1.0
    one, other = (world.rollout(z, states, _macros()).latents for z in (latents, changed))
    assert torch.equal(one, other)
    moved = world.rollout(latents, states + 0.1, _macros()).latents
    assert not torch.equal(one, moved)


def test_imagined_states_are_those_that_the_latents_tell(
    world: HighLevelWorld, fast: VectorWorld
) -> None:
    imagined = world.rollout(*_context(), _macros())
    features = fast.predictor.state_features
    places = features(imagined.states)[..., :3]
    torch.testing.assert_close(places, imagined.latents[..., 0, C : C + 3])
    states = torch.rand(4, 7)
    torch.testing.assert_close(features.inverse(features(states)), states)


def test_the_past_does_not_see_the_future(world: HighLevelWorld) -> None:
    macros = _macros()
    changed = macros.clone()
    changed[:, :, 1:] = 0.0
    before, after = (world.rollout(*_context(), m).latents for m in (macros, changed))
    assert torch.equal(before[:, :, 0], after[:, :, 0])
    assert not torch.equal(before[:, :, 1], after[:, :, 1])


def test_a_batch_imagines_and_proposes_what_its_episodes_would_alone(world: HighLevelWorld) -> None:
    latents, states = _context()
    together = world.rollout(latents, states, _macros()).latents
    goals = torch.randn(B, 1, Z, generator=torch.Generator().manual_seed(3))
    asked = {"samples": S, "horizon": K}
    proposed = world.prior(goals)(latents, states, generator=torch.Generator(), **asked)
    assert proposed.shape == (B, S, K, U)
    for b in range(B):
        mine = slice(b, b + 1)
        alone = world.rollout(latents[mine], states[mine], _macros()[mine]).latents
        torch.testing.assert_close(alone[0], together[b])
        prior = world.prior(goals[mine])
        single = prior(latents[mine], states[mine], generator=torch.Generator(), **asked)
        torch.testing.assert_close(single[0], proposed[b])


def test_the_first_proposal_is_the_macro_prior_itself(world: HighLevelWorld) -> None:
    prior = world.prior(torch.zeros(B, 1, Z))
    runs = [
        prior(*_context(), samples=3, horizon=K, generator=torch.Generator().manual_seed(s))
        for s in (0, 1)
    ]
    assert torch.equal(runs[0][:, 0], runs[1][:, 0])
    assert not torch.equal(runs[0][:, 1], runs[1][:, 1])


def test_a_world_without_macros_is_refused(fast: VectorWorld) -> None:
    fast.predictor.macros.trained.fill_(False)
    with pytest.raises(UserError, match="macro-actions"):
        HighLevelWorld(fast)
    fast.predictor.macros.trained.fill_(True)
