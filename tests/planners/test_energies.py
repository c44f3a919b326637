from __future__ import annotations

import itertools

import pytest
import torch

from worldmodel.planners import (
    Approach,
    ApproachReferee,
    LatentDistance,
    MeanEnergy,
    TotalEnergy,
    UncertaintyPenalty,
)


@pytest.fixture
def along(point):
    """A trajectory through given points: one token of width 1, one episode, one candidate."""

    def build(*positions):
        latents = torch.tensor(positions, dtype=torch.float32).reshape(1, 1, -1, 1, 1)
        return point.Imagined(latents, latents[..., 0])

    return build


def goal(*positions):
    return torch.tensor(positions, dtype=torch.float32).reshape(1, -1, 1, 1)


def test_metrics_are_means_over_tokens_and_channels(point):
    latents = torch.tensor([[3.0, 4.0], [1.0, 0.0]]).reshape(1, 1, 1, 2, 2)
    target = torch.tensor([[3.0, 0.0], [0.0, 1.0]]).reshape(1, 2, 2)
    trajectory = point.Imagined(latents, latents[..., 0])
    expected = {"l1": (0 + 4 + 1 + 1) / 4, "l2": (0 + 16 + 1 + 1) / 4, "cosine": 1 - 0.6 / 2}
    for metric, value in expected.items():
        energy = LatentDistance(target, metric)(trajectory)
        torch.testing.assert_close(energy, torch.tensor([[value]]))


def test_reductions_over_imagined_steps(along):
    trajectory = along(1, 5, 2)
    for reduce, expected in (("final", 3.0), ("sum", 4.0 + 0.0 + 3.0), ("closest", 0.0)):
        energy = LatentDistance(goal(5)[:, 0], reduce=reduce)(trajectory)
        assert energy.item() == expected


def test_an_approach_is_the_cost_to_go_and_how_near_a_path_comes(along):
    near = LatentDistance(goal(5)[:, 0], "l2", "closest")
    cost = lambda trajectory: trajectory.latents[:, :, -1, 0, 0]  # noqa: E731
    energy = Approach(cost, near, closeness=10.0)
    assert energy(along(1, 4, 2)).item() == pytest.approx(2.0 + 10.0)
    assert energy(along(1, 5, 2)).item() == pytest.approx(2.0, abs=0.01)


def test_its_referee_counts_how_much_nearer_a_path_comes(point):
    latents = torch.tensor([[1.0, 2.0], [1.0, 4.0]]).reshape(1, 2, 2, 1, 1)
    paths = point.Imagined(latents, latents[..., 0])
    near = LatentDistance(goal(5)[:, 0], "l2", "closest")
    referee = ApproachReferee(lambda _: torch.tensor([[-0.5, -1.5]]), near, closeness=10.0)
    torch.testing.assert_close(referee(paths), torch.tensor([[-0.5, -1.5 + 20.0]]))


def test_an_approach_has_a_gradient_at_the_goal(point):
    latents = torch.full((1, 1, 1, 1, 1), 5.0, requires_grad=True)
    near = LatentDistance(goal(5)[:, 0], "l2", "closest")
    energy = Approach(lambda trajectory: 0 * trajectory.latents.sum((2, 3, 4)), near, 10.0)
    energy(point.Imagined(latents, latents[..., 0])).sum().backward()
    assert latents.grad.isfinite().all()


def test_each_episode_has_its_own_goal(point):
    latents = torch.zeros(2, 3, 4, 1, 1)
    energy = LatentDistance(torch.tensor([1.0, 2.0]).reshape(2, 1, 1))(
        point.Imagined(latents, latents[..., 0])
    )
    assert energy.tolist() == [[1.0] * 3, [2.0] * 3]


def test_subgoals_must_be_visited_in_order(along):
    there, back = along(1, 4, 9), along(9, 4, 1)
    energy = LatentDistance(goal(1, 4, 9), reduce="closest")
    assert energy(there).item() == 0.0
    assert energy(back).item() > 5.0


@pytest.mark.parametrize("reduce", ["final", "closest", "sum"])
def test_subgoal_energy_is_the_cheapest_ordered_assignment(along, reduce):
    noise = torch.Generator().manual_seed(0)
    positions = torch.randn(5, generator=noise).tolist()
    goals = torch.randn(3, generator=noise).tolist()

    def cost(moments):
        visits = sum(abs(positions[t] - g) for t, g in zip(moments, goals, strict=False))
        if reduce == "sum":
            visits += sum(abs(p - goals[-1]) for p in positions)
        return visits

    number = 2 if reduce == "sum" else 3
    ordered = itertools.combinations_with_replacement(range(5), number)
    best = min(cost(m) for m in ordered if reduce != "final" or m[-1] == 4)
    energy = LatentDistance(goal(*goals), reduce=reduce)(along(*positions))
    torch.testing.assert_close(energy.item(), best)


def test_one_subgoal_is_the_goal(along):
    trajectory = along(1, 5, 2)
    for reduce in ("final", "sum", "closest"):
        one, plain = (LatentDistance(g, reduce=reduce) for g in (goal(3), goal(3)[:, 0]))
        assert torch.equal(one(trajectory), plain(trajectory))


def height(trajectory):
    """An uncertainty: how high the only latent is."""
    return trajectory.latents[..., 0, 0]


def test_a_doubt_costs_nothing_up_to_q90_and_one_at_q99(along):
    energy = UncertaintyPenalty(height, q90=0.2, q99=0.6)
    for value, expected in ((0.0, 0.0), (0.2, 0.0), (0.4, 0.5), (0.6, 1.0), (1.0, 2.0)):
        torch.testing.assert_close(energy(along(value, value)), torch.tensor([[expected]]))


def test_familiar_steps_do_not_make_up_for_strange_ones(along):
    energy = UncertaintyPenalty(height, 0.2, 0.6)(along(0.0, 0.6))
    torch.testing.assert_close(energy, torch.tensor([[0.5]]))


def test_a_doubt_can_be_calibrated_per_step(along):
    q90, q99 = torch.tensor([0.1, 0.2, 9.0]), torch.tensor([0.2, 0.6, 10.0])
    energy = UncertaintyPenalty(height, q90, q99)
    torch.testing.assert_close(energy(along(0.1, 0.6)), torch.tensor([[0.5]]))
    with pytest.raises(ValueError, match="4 imagined steps, got 3"):
        energy(along(0, 0, 0, 0))


def test_degenerate_calibration_is_refused():
    with pytest.raises(ValueError, match="q99 above q90"):
        UncertaintyPenalty(height, 0.2, 0.2)


def test_the_mean_of_energies_keeps_their_unit(along):
    terms = [UncertaintyPenalty(height, 0.2, 0.6), UncertaintyPenalty(height, 0.2, 0.4)]
    torch.testing.assert_close(MeanEnergy(terms)(along(0.6)), torch.tensor([[1.5]]))
    with pytest.raises(ValueError, match="one energy or more"):
        MeanEnergy([])


def test_total_adds_up_and_shows_its_terms(along):
    trajectory = along(3)
    goal_energy, world = LatentDistance(goal(1)[:, 0]), UncertaintyPenalty(height, 1.0, 3.0)
    total, terms = TotalEnergy(goal_energy, world, goal_weight=4.0)(trajectory)
    torch.testing.assert_close(total, torch.tensor([[1.0 + 4.0 * 2.0]]))
    assert {name: term.item() for name, term in terms.items()} == {"goal": 2.0, "world": 1.0}
    total, terms = TotalEnergy(goal_energy)(trajectory)
    assert (total.item(), set(terms)) == (2.0, {"goal"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "l3"}, "metric l1, l2 or cosine"),
        ({"reduce": "last"}, "reduce final, sum or closest"),
        ({"goal": torch.zeros(3, 4)}, r"got \[3, 4\]"),
    ],
)
def test_unknown_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentDistance(**{"goal": torch.zeros(1, 2, 3), **arguments})


@pytest.mark.parametrize("shape", [(2, 1, 6), (1, 4, 6), (2, 4, 1), (3, 4, 6)])
def test_goal_latents_of_another_shape_are_refused(point, shape):
    latents = torch.zeros(2, 5, 3, 4, 6)
    imagined = point.Imagined(latents, latents[..., 0])
    with pytest.raises(ValueError, match=r"\[B,N,D\] = \[2, 4, 6\], .* got"):
        LatentDistance(torch.zeros(shape))(imagined)


def test_what_a_goal_image_cannot_show_does_not_count(point):
    latents = torch.tensor([[[3.0, 9.0]]]).reshape(1, 1, 1, 1, 2)
    target = torch.tensor([[[1.0, 0.0]]])
    trajectory = point.Imagined(latents, latents[..., 0])
    energy = LatentDistance(target, visible=torch.tensor([1.0, 0.0]))(trajectory)
    assert energy.item() == (2.0 + 0.0) / 2
