"""What the policy prior would do is left only where another plan is sure to gain."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from worldmodel.planners import CEMConfig
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import ValueReferee

SMALL = {"width": 16, "depth": 1, "head_width": 16, "prior_width": 16, "proprio_width": 16}


def resting(
    latents: Tensor, states: Tensor, *, samples: int, horizon: int, generator: torch.Generator
) -> Tensor:
    """A policy prior that stays where it is."""
    return torch.zeros(len(latents), samples, horizon, states.shape[-1])


def gaining(*steps: float) -> object:
    """A referee by whom all but the first candidate of each episode gain so much."""

    def referee(trajectory: object) -> Tensor:
        gains = torch.tensor(steps)[:, None].expand(-1, trajectory.latents.shape[1]).clone()
        gains[:, 0] = 0.0
        return gains

    return referee


def test_each_episode_follows_its_own_referee(point: SimpleNamespace) -> None:
    goal = torch.full((2, 3), 0.1)
    config = CEMConfig(samples=64, iterations=2, horizon=4, proposals=4)
    asked = point.problem(goal, proposal=resting)
    free = point.solve(asked, config)
    settled = point.solve(replace(asked, referee=gaining(1.0, -1.0)), config)
    assert torch.equal(settled.actions[0], free.actions[0])
    assert not settled.actions[1].any()
    assert settled.energy[0] == free.energy[0]
    assert settled.energy[1] == pytest.approx(0.01)  # of resting: the mean square of 0.1


def test_without_a_prior_there_is_nothing_to_keep(point: SimpleNamespace) -> None:
    goal, config = torch.full((1, 3), 0.1), CEMConfig(samples=64, iterations=2, horizon=4)
    asked = point.problem(goal)
    settled = point.solve(replace(asked, referee=gaining(-1.0)), config)
    assert torch.equal(settled.actions, point.solve(asked, config).actions)


def test_critics_have_to_agree_on_a_gain_beyond_the_margin() -> None:
    torch.manual_seed(0)
    model = VectorPredictor(VectorPredictorConfig(tokens=4, token_width=8, **SMALL)).eval()
    goals = model.goals(torch.randn(1, model.latent_width), with_proprio=True)
    latents = torch.randn(1, 6, 3, 1, model.latent_width)
    futures = SimpleNamespace(latents=latents)
    with torch.no_grad():
        gains = ValueReferee(model, goals, 0.0)(futures)
        later = ValueReferee(model, goals, 0.5)(futures)
        alike = ValueReferee(model, goals, 0.0)(
            SimpleNamespace(latents=latents[:, :1].repeat(1, 2, 1, 1, 1))
        )
    assert torch.allclose(gains - later, torch.full_like(gains, 0.5))
    assert gains[0, 0] == 0
    assert torch.allclose(alike, torch.zeros(1, 2), atol=1e-6)
