from dataclasses import replace

import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.nn.pose import compose
from worldmodel.planners import CEM, CEMConfig, LatentDistance, Plan, Problem, TotalEnergy
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig


@pytest.fixture
def world() -> TokenWorld:
    torch.manual_seed(0)
    sizes = EncoderConfig(image_size=24, patch_size=12, width=12, depth=1, heads=2)
    predictor = TokenPredictor(
        TokenPredictorConfig(tokens=4, token_width=12, width=24, depth=2, heads=2)
    )
    for parameter in predictor.parameters():
        parameter.data.normal_(std=0.3)
    return TokenWorld(FrozenEncoder(VideoTransformer(sizes)), predictor)


def context(world: TokenWorld, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, frames, 24, 24, 3), generator=generator, dtype=torch.uint8)
    return world.encode(images), 0.3 * torch.rand(2, frames, 7, generator=generator)


def candidates(samples: int, horizon: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return 0.1 * torch.randn(2, samples, horizon, 7, generator=generator)


def test_a_camera_that_is_set_is_that_of_every_plan(world: TokenWorld) -> None:
    sizes = replace(world.predictor.config, extrinsics=True)
    seeing = TokenWorld(world.encoder, TokenPredictor(sizes))
    (latents, states), actions = context(world, 2), candidates(3, 2)
    with pytest.raises(ValueError, match="extrinsics"):
        seeing.rollout(latents, states, actions)
    pose = torch.tensor([[0.1, 0.2, 0.3, 0.0, 0.5, 1.0]])
    given = seeing.rollout(latents, states, actions, pose.expand(2, -1))
    seeing.camera = pose
    assert torch.equal(seeing.rollout(latents, states, actions).latents, given.latents)


def test_candidates_are_imagined_as_if_each_were_alone(world: TokenWorld) -> None:
    (latents, states), actions = context(world, 2), candidates(3, 4)
    together = world.rollout(latents, states, actions)
    for b in range(2):
        for s in range(3):
            alone = world.rollout(
                latents[b : b + 1], states[b : b + 1], actions[b : b + 1, s : s + 1]
            )
            torch.testing.assert_close(
                together.latents[b, s], alone.latents[0, 0], atol=1e-4, rtol=1e-4
            )


def test_a_rollout_is_teacher_forcing_on_its_own_predictions(world: TokenWorld) -> None:
    latents, states = context(world, 1)
    actions = candidates(1, 3)
    imagined = world.rollout(latents, states, actions)
    known = torch.cat((latents, imagined.latents[:, 0, :2]), dim=1)
    path = torch.cat((states, imagined.states[:, 0, :2]), dim=1)
    with torch.no_grad():
        forced = world.predictor.teacher_forced(known, actions[:, 0], path)
    torch.testing.assert_close(forced, imagined.latents[:, 0], atol=1e-4, rtol=1e-4)


def test_imagined_states_are_composed_poses(world: TokenWorld) -> None:
    latents, states = context(world, 1)
    actions = candidates(2, 2)
    imagined = world.rollout(latents, states, actions).states
    first = compose(states.expand(-1, 2, -1), actions[:, :, 0])
    torch.testing.assert_close(imagined[:, :, 0], first)
    torch.testing.assert_close(imagined[:, :, 1], compose(first, actions[:, :, 1]))


def test_the_past_counts_up_to_the_context_of_training(world: TokenWorld) -> None:
    latents, states = context(world, 4)
    actions = candidates(1, 2)
    of_two, of_one, of_four = (
        world.rollout(latents[:, -t:], states[:, -t:], actions).latents for t in (2, 1, 4)
    )
    torch.testing.assert_close(of_four, of_two)
    assert not torch.allclose(of_one, of_two, atol=1e-3)


def test_actions_between_context_frames_are_read_off_the_states(world: TokenWorld) -> None:
    latents, states = context(world, 2)
    taken = torch.full((2, 7), 0.05)
    states[:, 1] = compose(states[:, 0], taken)
    actions = candidates(1, 1)
    imagined = world.rollout(latents, states, actions).latents[:, 0, 0]
    with torch.no_grad():
        forced = world.predictor.teacher_forced(
            latents, torch.stack((taken, actions[:, 0, 0]), 1), states
        )
    torch.testing.assert_close(imagined, forced[:, 1], atol=1e-4, rtol=1e-4)


def test_imagining_few_at_a_time_to_save_memory_changes_nothing(world, monkeypatch) -> None:
    (latents, states), actions = context(world, 2), candidates(5, 3)
    whole = world.rollout(latents, states, actions)
    rows: list[int] = []
    advance = world.predictor.advance

    def counted(hidden, *rest):
        rows.append(len(hidden))
        return advance(hidden, *rest)

    monkeypatch.setattr(world.predictor, "advance", counted)
    world.memory = 2 * 2 * world.predictor.bytes_per_row(frames=4)  # 2 episodes, 2 candidates each
    chunked = world.rollout(latents, states, actions)
    torch.testing.assert_close(chunked.latents, whole.latents)
    assert torch.equal(chunked.states, whole.states)
    assert max(rows) == 4
    world.memory = 0
    assert world.rollout(latents, states, actions).latents.shape == whole.latents.shape


def test_on_a_cpu_no_more_are_imagined_at_once_than_its_cache_holds(world, monkeypatch) -> None:
    (latents, states), actions = context(world, 2), candidates(6, 2)
    whole = world.rollout(latents, states, actions)
    monkeypatch.setattr(world, "cache", 4 * world.predictor.hidden_bytes_per_row)
    rows: list[int] = []
    imagine = world._imagine
    monkeypatch.setattr(
        world, "_imagine", lambda *args: (rows.append(args[1].shape[1]), imagine(*args))[1]
    )
    torch.testing.assert_close(world.rollout(latents, states, actions).latents, whole.latents)
    assert rows == [2, 2, 2]  # 2 episodes each


def test_half_precision_finds_the_same_elites(world) -> None:
    (latents, states), actions = context(world, 2), candidates(64, 2)
    goal = torch.randn(latents[:, -1].shape, generator=torch.Generator().manual_seed(7))
    energy = LatentDistance(goal)
    elites = []
    for _ in range(2):
        distance = energy(world.rollout(latents, states, actions))
        elites.append(distance.topk(8, largest=False).indices)
        world.imagine_in(torch.bfloat16)
    shared = (elites[0][:, :, None] == elites[1][:, None]).any(2).float().mean()
    assert shared >= 0.75


def test_half_weights_and_autocast_imagine_the_same_to_their_precision(world) -> None:
    (latents, states), actions = context(world, 2), candidates(3, 2)
    exact = world.rollout(latents, states, actions)
    with torch.autocast("cpu", torch.bfloat16):
        cast = world.rollout(latents, states, actions)
    imagined = world.imagine_in(torch.bfloat16).rollout(latents, states, actions)
    assert world.predictor.scale_actions.scale.dtype == torch.float32  # statistics stay exact
    half = world.to(torch.bfloat16).rollout(latents, states, actions)
    for rounded in (cast, imagined, half):
        difference = (rounded.latents.float() - exact.latents).abs().mean()
        assert 0 < difference < 0.05 * exact.latents.abs().mean()
        torch.testing.assert_close(rounded.states, exact.states)  # poses are never rounded


def test_fused_it_plans_alike_and_halves_of_blocks_are_all_that_is_compiled(world) -> None:
    latents, states = context(world, 2)
    energy = TotalEnergy(LatentDistance(latents[:, -1].flip(0)))
    high = torch.full((7,), 0.05)
    cem = CEM(CEMConfig(samples=8, iterations=2, elites=3, horizon=2, proposals=0), -high, high)

    def planned(compiled: bool) -> Plan:
        problem = Problem(world, latents, states, energy, compiled=compiled)
        return cem.plan(problem, cem.init(2), generator=torch.Generator().manual_seed(0))[0]

    exact = planned(False)
    world.fuse()
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    fast = planned(True)
    torch.testing.assert_close(fast.actions, exact.actions, atol=1e-5, rtol=0)
    torch.testing.assert_close(fast.energy, exact.energy, atol=1e-4, rtol=1e-4)
    sizes = 2  # of past frames, and of candidates
    assert counters["stats"]["unique_graphs"] == 2 * sizes
    assert not counters["graph_break"]
