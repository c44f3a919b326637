"""Whatever its weights, a reachability is a quasimetric in which scenes are nearer than moments."""

from __future__ import annotations

import pytest
import torch

from worldmodel.predictors.reachability import Reachability, covered_length
from worldmodel.predictors.vector import mlp

Z, R = 7, 60


@pytest.fixture(scope="module")
def reachability() -> Reachability:
    torch.manual_seed(0)
    scene, arm = (mlp(Z, 16, 1, Reachability.width) for _ in range(2))
    return Reachability(scene, arm)


def _moments(seed: int) -> torch.Tensor:
    drawn = torch.randn(R, Z, generator=torch.Generator().manual_seed(seed))
    return torch.cat([drawn, torch.ones(R, 1)], -1)


def _scenes(moments: torch.Tensor) -> torch.Tensor:
    scenes = moments.clone()
    scenes[:, -1] = 0.0
    return scenes


def test_the_length_is_that_of_the_union_of_intervals_that_rise() -> None:
    here = torch.tensor([0.0, 1.0, 5.0, 9.0])
    there = torch.tensor([2.0, 3.0, 6.0, 4.0])  # [0, 2] and [1, 3] overlap; from 9 there is no rise
    assert covered_length(here, there) == 3.0 + 1.0
    assert covered_length(here, here) == 0.0
    assert covered_length(there, here) == 9.0 - 4.0


def test_it_is_nothing_to_stay_and_no_way_is_longer_than_a_detour(
    reachability: Reachability,
) -> None:
    points = torch.cat([_moments(0), _scenes(_moments(1))])
    embedded = reachability.embed(points)
    distance = reachability(embedded[:, None], embedded[None])
    assert bool((distance >= 0).all())
    assert distance.diagonal().abs().max() == 0
    detours = distance[:, :, None] + distance[None]
    assert bool((distance[:, None] <= detours + 1e-4).all())


def test_there_and_back_may_differ(reachability: Reachability) -> None:
    here, there = (reachability.embed(_moments(seed)) for seed in (0, 1))
    assert not torch.allclose(reachability(here, there), reachability(there, here), rtol=0.05)


def test_a_moment_has_reached_its_own_scene_which_is_no_farther_than_the_moment(
    reachability: Reachability,
) -> None:
    moments, goals = _moments(0), _moments(1)
    here, scene = reachability.embed(moments), reachability.embed(_scenes(goals))
    assert bool((reachability(here, reachability.embed(_scenes(moments))) == 0).all())
    to_moment = reachability(here, reachability.embed(goals))
    assert bool((reachability(here, scene) <= to_moment + 1e-5).all())
    assert reachability(here, scene).mean() < 0.9 * to_moment.mean()


def test_gradients_are_finite_even_where_moments_coincide(reachability: Reachability) -> None:
    here = reachability.embed(_moments(0))
    for there in (here, here.detach() + 1.0):
        gradients = torch.autograd.grad(
            reachability(here, there).sum(), list(reachability.parameters()), retain_graph=True
        )
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)
