from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from worldmodel.planners import CEMConfig, CoarseToFine, Plan, TotalEnergy


class Asked:
    """An energy that notes how many candidates it was asked about."""

    def __init__(self, function):
        self.function, self.counts = function, []

    def __call__(self, trajectory):
        self.counts.append(trajectory.latents.shape[1])
        return self.function(trajectory.latents[:, :, -1, 0, 0])


@pytest.fixture
def ends(point):
    """A trajectory to given end points, one per candidate."""

    def build(*rows):
        latents = torch.tensor(rows, dtype=torch.float32)[:, :, None, None, None]
        return point.Imagined(latents, latents[..., 0], actions=latents[..., 0])

    return build


def test_only_the_best_few_are_judged_in_earnest(ends) -> None:
    fine, coarse = Asked(lambda x: 10 * x), Asked(lambda x: (x - 0.2).abs())
    energy, terms = CoarseToFine(TotalEnergy(fine), coarse, 2)(ends([5.0, 0.0, 3.0, 1.0]))
    assert (coarse.counts, fine.counts) == ([4], [2])
    assert energy[0].argsort().tolist() == [1, 3, 2, 0]
    assert energy[0, [1, 3]].tolist() == [0.0, 10.0]
    assert terms["goal"][0, [1, 3]].tolist() == [0.0, 10.0]
    assert terms["goal"][0, [0, 2]].isnan().all()


def test_each_episode_has_its_own_best(ends) -> None:
    fine = Asked(lambda x: x)
    energy, _ = CoarseToFine(TotalEnergy(fine), Asked(lambda x: x), 1)(ends([1.0, 2.0], [4.0, 3.0]))
    assert energy.argmin(1).tolist() == [0, 1]
    torch.testing.assert_close(energy, torch.tensor([[1.0, 2.0], [4.0, 3.0]]))


def test_few_candidates_are_judged_in_earnest_at_once(ends) -> None:
    fine, coarse = Asked(lambda x: x), Asked(lambda x: -x)
    energy, _ = CoarseToFine(TotalEnergy(fine), coarse, 2)(ends([2.0, 1.0]))
    assert energy.tolist() == [[2.0, 1.0]]
    assert coarse.counts == []


@pytest.mark.parametrize("broken", ["coarse", "fine"])
def test_nan_stays_behind(ends, broken: str) -> None:
    def holed(x):
        return x.masked_fill(x < 1, torch.nan)

    kinds = {name: Asked(holed if name == broken else lambda x: x) for name in ("coarse", "fine")}
    energy, _ = CoarseToFine(TotalEnergy(kinds["fine"]), kinds["coarse"], 2)(
        ends([0.0, 1.0, 2.0, 3.0])
    )
    assert not torch.isfinite(energy[0, 0])
    assert energy[0, 1:].argmin() == 0
    assert torch.isfinite(energy[0, 1:]).all()


def test_a_search_with_it_finds_the_same_optimum(point) -> None:
    problem = point.problem(torch.tensor([[0.1, -0.05, 0.02]]))
    config = CEMConfig(samples=96, iterations=8, horizon=4, elites=10, receding_horizon=1)
    # The coarse energy looks along one axis only; the fine one of its best settles the rest.
    rough = Asked(lambda x: (x - 0.1).square())
    energy = CoarseToFine(problem.energy, rough, 48)
    found: Plan = point.solve(replace(problem, energy=energy), config)
    torch.testing.assert_close(
        found.actions.sum(1), torch.tensor([[0.1, -0.05, 0.02]]), atol=6e-3, rtol=0
    )
    assert found.breakdown["goal"].isfinite().all()


def test_its_best_must_be_some() -> None:
    with pytest.raises(ValueError, match="at least 1 candidate, got 0"):
        CoarseToFine(TotalEnergy(Asked(lambda x: x)), Asked(lambda x: x), 0)


def test_where_the_best_cannot_be_judged_nothing_is_known_of_the_others(ends) -> None:
    fine, coarse = Asked(lambda x: x * torch.nan), Asked(lambda x: x)
    energy, _ = CoarseToFine(TotalEnergy(fine), coarse, 2)(ends([3.0, 1.0, 2.0, 4.0]))
    assert not energy.isfinite().any()


def test_ties_go_to_those_that_were_judged(ends) -> None:
    same = Asked(lambda x: 0 * x - 5.0)
    energy, terms = CoarseToFine(TotalEnergy(same), same, 2)(ends([3.0, 1.0, 2.0, 4.0]))
    judged = terms["goal"][0].isfinite()
    assert judged.sum() == 2
    assert energy[0, judged].max() < energy[0, ~judged].min()


def test_a_candidate_descends_as_it_would_among_any_others(ends) -> None:
    trajectory = ends([3.0, 1.0, 2.0, 4.0])
    trajectory.latents.requires_grad_()
    fine, coarse = Asked(lambda x: 10 * x), Asked(lambda x: 2 * x)
    energy, _ = CoarseToFine(TotalEnergy(fine), coarse, 2)(trajectory)
    (gradient,) = torch.autograd.grad(energy.sum(), trajectory.latents)
    assert gradient.flatten().tolist() == [2.0, 10.0, 10.0, 2.0]
