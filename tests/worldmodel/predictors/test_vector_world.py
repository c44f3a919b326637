"""The vector predictor keeps what planners expect of a world."""

from __future__ import annotations

import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.planners import (
    CEM,
    CEMConfig,
    CoarseToFine,
    Plan,
    Problem,
    TotalEnergy,
    UncertaintyPenalty,
)
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld

B, S, H, A, C, F = 2, 5, 8, 7, 6, 10
Z = C + F


def _world(members: int = 3) -> VectorWorld:
    torch.manual_seed(0)
    encoder = VideoTransformer(
        EncoderConfig(image_size=24, patch_size=12, width=16, depth=1, heads=2)
    )
    sizes = VectorPredictorConfig(
        tokens=4, token_width=16, object_width=C, width=16, depth=1, head_width=16, members=members
    )
    predictor = VectorPredictor(sizes)
    predictor.scale_actions.fit(0.03 * torch.randn(50, A))
    predictor.state_features.fit(torch.rand(50, 7))
    return VectorWorld(FrozenEncoder(encoder), predictor)


@pytest.fixture(scope="module")
def world() -> VectorWorld:
    return _world()


@pytest.fixture(scope="module")
def context(world: VectorWorld) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (B, 1, 24, 24, 3), generator=generator, dtype=torch.uint8)
    tokens = world.encode(frames)
    latents = world.project(tokens, tokens[:, 0].flip(0))
    return latents, torch.rand(B, 1, 7, generator=generator)


def _actions() -> torch.Tensor:
    return 0.03 * torch.randn(B, S, H, A, generator=torch.Generator().manual_seed(2))


def test_shapes_are_those_of_the_protocol(
    world: VectorWorld, context: tuple[torch.Tensor, torch.Tensor]
) -> None:
    latents, states = context
    assert latents.shape == (B, 1, 1, Z)
    imagined = world.rollout(latents, states, _actions())
    assert imagined.latents.shape == (B, S, H // 2, 1, Z)
    assert imagined.states.shape == (B, S, H // 2, 7)
    for name, known in world.uncertainties.items():
        assert known.uncertainty(imagined).shape == (B, S, H // 2), name
        assert known.q90.shape == known.q99.shape
    assert world.goal_energy(latents[:, 0])(imagined).shape == (B, S)
    assert world.reachability_energy(latents[:, 0])(imagined).shape == (B, S)


def test_goals_of_another_shape_are_refused(
    world: VectorWorld, context: tuple[torch.Tensor, torch.Tensor]
) -> None:
    latents, states = context
    goal = latents[:, 0]
    for of_goals in (world.goal_energy, world.reachability_energy, world.prior):
        for wrong in (goal[..., :-1], goal[:, 0], goal.expand(-1, 4, -1)):
            with pytest.raises(ValueError, match=rf"goal latents \[B,1,{Z}\], got"):
                of_goals(wrong)
    imagined = world.rollout(latents, states, _actions())
    for energy in (world.goal_energy(goal[:1]), world.reachability_energy(goal[:1])):
        with pytest.raises(ValueError, match=r"goals of 2 episode\(s\), got 1"):
            energy(imagined)
    with pytest.raises(ValueError, match=r"goals of 2 episode\(s\), got 1"):
        world.prior(goal[:1])(latents, states, samples=3, horizon=H, generator=torch.Generator())


def test_grounded_latents_have_the_form_of_imagined_ones(
    world: VectorWorld, context: tuple[torch.Tensor, torch.Tensor]
) -> None:
    latents, states = context
    imagined = world.rollout(latents, states, _actions())
    torch.testing.assert_close(world.grounded(imagined.latents, imagined.states), imagined.latents)
    grounded = world.grounded(latents, states)
    assert torch.equal(grounded[..., :C], latents[..., :C])
    assert not torch.equal(grounded[..., C:], latents[..., C:])


def test_the_past_does_not_see_the_future(
    world: VectorWorld, context: tuple[torch.Tensor, torch.Tensor]
) -> None:
    actions = _actions()
    changed = actions.clone()
    changed[:, :, 4:] = 0.0
    before, after = (world.rollout(*context, a) for a in (actions, changed))
    assert torch.equal(before.latents[:, :, :2], after.latents[:, :, :2])
    assert not torch.equal(before.latents[:, :, 2, :, :C], after.latents[:, :, 2, :, :C])


def test_a_batch_imagines_what_its_episodes_would_alone(
    world: VectorWorld, context: tuple[torch.Tensor, torch.Tensor]
) -> None:
    latents, states = context
    together = world.rollout(latents, states, _actions())
    for b in range(B):
        alone = world.rollout(latents[b : b + 1], states[b : b + 1], _actions()[b : b + 1])
        torch.testing.assert_close(alone.latents[0], together.latents[b])


def test_the_mean_and_spread_are_those_of_the_members(
    context: tuple[torch.Tensor, torch.Tensor],
) -> None:
    world = _world()
    full = world.rollout(*context, _actions()[:, :, :2])
    alone = []
    for member in range(3):
        single = _world(members=1)
        parts = [
            *single.predictor.dynamics.members.weights,
            *single.predictor.dynamics.members.biases,
        ]
        wholes = [
            *world.predictor.dynamics.members.weights,
            *world.predictor.dynamics.members.biases,
        ]
        for part, whole in zip(parts, wholes, strict=True):
            part.copy_(whole[member : member + 1])
        single.predictor.scale_actions.load_state_dict(world.predictor.scale_actions.state_dict())
        single.predictor.state_features.load_state_dict(world.predictor.state_features.state_dict())
        alone.append(single.rollout(*context, _actions()[:, :, :2]))
        assert "disagreement" not in single.uncertainties
    members = torch.stack([imagined.latents[..., :C] for imagined in alone])
    torch.testing.assert_close(full.latents[..., :C], members.mean(0))
    found = world.uncertainties["disagreement"].uncertainty(full)
    torch.testing.assert_close(found, members.var(0, correction=0).mean((-1, -2)))


def test_the_first_proposal_is_the_prior_itself_and_the_others_are_spread(
    world: VectorWorld, context: tuple[torch.Tensor, torch.Tensor]
) -> None:
    latents, states = context
    prior = world.prior(latents[:, 0])
    runs = [
        prior(latents, states, samples=4, horizon=H, generator=torch.Generator().manual_seed(s))
        for s in (0, 1)
    ]
    assert runs[0].shape == (B, 4, H, A)
    assert torch.equal(runs[0][:, 0], runs[1][:, 0])
    assert not torch.equal(runs[0][:, 1], runs[1][:, 1])


def test_values_of_later_steps_weigh_more(world: VectorWorld) -> None:
    goal = torch.zeros(B, 1, Z)
    energy = world.goal_energy(goal, pessimism=0.0)
    near, far = torch.zeros(Z), torch.full((Z,), 3.0)
    paths = torch.stack([torch.stack([near, far]), torch.stack([far, near])])

    class _Path:
        latents = paths[None, :, :, None].expand(B, -1, -1, -1, -1)
        states = torch.zeros(B, 2, 2, 7)

    one, other = energy(_Path()).unbind(1)
    model = world.predictor
    values = [
        model.value(
            model.object_latents(z).expand(B, -1), model.proprio(z).expand(B, -1), energy._goals
        )
        for z in (near, far)
    ]
    torch.testing.assert_close(one, -(values[0] + 2 * values[1]) / 3)
    torch.testing.assert_close(other, -(values[1] + 2 * values[0]) / 3)


def test_what_critics_do_not_agree_on_counts_against_a_candidate(world: VectorWorld) -> None:
    goal = torch.zeros(B, 1, Z)
    path = _Still(torch.randn(B, S, 1, 1, Z, generator=torch.Generator().manual_seed(5)))
    bold, wary = (world.goal_energy(goal, pessimism=kappa)(path) for kappa in (0.0, 2.0))
    model, z = world.predictor, path.latents[:, :, 0, 0]
    goals = model.goals(goal[:, 0], with_proprio=False)[:, None].expand(B, S, -1)
    values = model.values(model.object_latents(z), model.proprio(z), goals)
    relative = values - values.mean(-1, keepdim=True)
    torch.testing.assert_close(bold, -values.mean(0))
    torch.testing.assert_close(wary - bold, 2 * relative.std(0, correction=0))


def test_critics_that_are_wrong_alike_agree(world: VectorWorld) -> None:
    path = _Still(torch.randn(B, S, 1, 1, Z, generator=torch.Generator().manual_seed(5)))
    before = world.goal_energy(torch.zeros(B, 1, Z))(path)
    offsets = torch.arange(float(world.predictor.config.critics))
    world.predictor.critics.biases[-1].add_(offsets[:, None, None])
    after = world.goal_energy(torch.zeros(B, 1, Z))(path)
    torch.testing.assert_close(after, before - offsets.mean())


def test_a_candidate_that_is_not_finite_is_alone_in_that(world: VectorWorld) -> None:
    latents = torch.randn(B, S, 1, 1, Z, generator=torch.Generator().manual_seed(5))
    latents[0, 1] = torch.nan
    energy = world.goal_energy(torch.zeros(B, 1, Z))(_Still(latents))
    assert energy.isfinite().logical_not().nonzero().tolist() == [[0, 1]]


def test_a_candidate_that_is_not_finite_spoils_no_gradient_but_its_own(world: VectorWorld) -> None:
    latents = torch.randn(B, S, 1, 1, Z, generator=torch.Generator().manual_seed(5))
    latents[:, 1] = torch.nan
    latents.requires_grad_()
    energy = world.goal_energy(torch.zeros(B, 1, Z))(_Still(latents))
    (gradient,) = torch.autograd.grad(energy[:, 0].sum(), latents)
    assert gradient[:, 0].isfinite().all()
    assert gradient[:, 0].abs().sum() > 0


def test_steps_to_go_of_later_moments_weigh_more(world: VectorWorld) -> None:
    goal = torch.randn(B, 1, Z, generator=torch.Generator().manual_seed(3))
    paths = torch.randn(B, S, 3, 1, Z, generator=torch.Generator().manual_seed(4))
    energy = world.reachability_energy(goal, with_proprio=True)(_Still(paths))
    goals = world.predictor.goals(goal[:, 0], with_proprio=True)
    first, second, third = world.predictor.steps(paths[..., 0, :], goals[:, None, None]).unbind(-1)
    torch.testing.assert_close(energy, (first + 2 * second + 3 * third) / 6)
    assert energy.std() > 0


def test_a_moment_at_its_own_goal_has_no_steps_to_go(world: VectorWorld) -> None:
    goal = torch.randn(B, 1, Z, generator=torch.Generator().manual_seed(5))
    there = _Still(goal[:, None, None])
    for with_proprio in (False, True):
        assert world.reachability_energy(goal, with_proprio)(there).abs().max() == 0


def test_the_arms_part_of_a_latent_is_what_proprioception_says(
    world: VectorWorld, context: tuple[torch.Tensor, torch.Tensor]
) -> None:
    imagined = world.rollout(*context, _actions())
    features = world.predictor.state_features(imagined.states)
    torch.testing.assert_close(imagined.latents[..., 0, C:], features)


def test_a_goal_tells_where_the_arm_is_and_whether_it_counts(world: VectorWorld) -> None:
    goal = torch.randn(B, 1, Z)
    moved = torch.cat([goal[..., :C], goal[..., C:] + 1.0], -1)
    trajectory = _Still(torch.randn(B, S, 1, 1, Z))
    for learned in (world.goal_energy, world.reachability_energy):
        scene, whole = (learned(goal, with_proprio)(trajectory) for with_proprio in (False, True))
        assert not torch.allclose(scene, whole)
        for with_proprio, before in ((False, scene), (True, whole)):
            assert not torch.allclose(learned(moved, with_proprio)(trajectory), before)


class _Still:
    def __init__(self, latents: torch.Tensor) -> None:
        self.latents, self.states = latents, latents


def test_imagining_in_half_precision_ranks_candidates_nearly_the_same(
    context: tuple[torch.Tensor, torch.Tensor],
) -> None:
    world, (latents, states) = _world(), context
    exact, goal = world.rollout(latents, states, _actions()), latents[:, 0].flip(0)
    energy = world.goal_energy(goal)(exact)
    looked = world.project(world.encode(_frames()), world.encode(_frames())[:, 0])
    world.imagine_in(torch.bfloat16)
    rounded = world.rollout(latents, states, _actions())
    again = world.goal_energy(goal)(rounded)
    assert rounded.latents.dtype == again.dtype == torch.float32
    assert 0 < (rounded.latents - exact.latents).abs().max() < 0.05
    assert (again - energy).std() < 0.2 * energy.std()
    torch.testing.assert_close(rounded.states, exact.states)  # poses are never rounded
    again_looked = world.project(world.encode(_frames()), world.encode(_frames())[:, 0])
    assert torch.equal(again_looked, looked)  # nor is what is read off images


def test_one_critic_is_asked_alone(
    world: VectorWorld, context: tuple[torch.Tensor, torch.Tensor]
) -> None:
    latents, states = context
    imagined, goal = world.rollout(latents, states, _actions()), latents[:, 0].flip(0)
    first = world.goal_energy(goal, critics=1)(imagined)
    assert torch.equal(first, world.goal_energy(goal, critics=1, pessimism=0.0)(imagined))
    assert not torch.equal(first, world.goal_energy(goal)(imagined))


def _frames() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (B, 1, 24, 24, 3), generator=generator, dtype=torch.uint8)


@pytest.mark.slow
def test_compiled_it_plans_alike_and_another_goal_compiles_nothing(
    world: VectorWorld, context: tuple[torch.Tensor, torch.Tensor]
) -> None:
    latents, states = context
    high = torch.full((A,), 0.05)
    cem = CEM(CEMConfig(samples=8, iterations=2, elites=3, horizon=4, proposals=2), -high, high)

    def planned(goal: torch.Tensor, compiled: bool) -> Plan:
        fine = TotalEnergy(
            world.goal_energy(goal), UncertaintyPenalty(*world.uncertainties["disagreement"])
        )
        energy = CoarseToFine(fine, world.goal_energy(goal, critics=1), best=5)
        problem = Problem(world, latents, states, energy, world.prior(goal), compiled=compiled)
        return cem.plan(problem, cem.init(B), generator=torch.Generator().manual_seed(0))[0]

    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    for goal in (latents[:, 0], latents[:, 0].flip(0)):
        fast, eager = planned(goal, True), planned(goal, False)
        torch.testing.assert_close(fast.actions, eager.actions, atol=1e-5, rtol=0)
        torch.testing.assert_close(fast.energy, eager.energy, atol=1e-4, rtol=1e-4)
        assert counters["stats"]["unique_graphs"] == 2, "a rollout and an energy"
    assert not counters["graph_break"]
