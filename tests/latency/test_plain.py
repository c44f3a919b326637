from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from worldmodel.latency.plain import PlainCEM, imagine_afresh
from worldmodel.planners import CEMConfig

CONFIG = CEMConfig(samples=128, iterations=8, horizon=4, elites=12, receding_horizon=1)


def solve(problem, config=CONFIG, **options):
    low = torch.full((problem.latents.shape[-1],), -0.05)
    plain = PlainCEM(config, low, -low)
    noise = torch.Generator().manual_seed(0)
    return plain.plan(problem, plain.init(1), generator=noise, **options)[0]


def test_finds_the_minimum_of_a_quadratic(point):
    goal = torch.tensor([[0.11, -0.07, 0.02], [-0.15, 0.0, 0.08]])
    plan = solve(point.problem(goal))
    torch.testing.assert_close(plan.actions.sum(1), goal, atol=0.01, rtol=0)
    assert plan.actions.abs().max() <= 0.05


@pytest.mark.parametrize("stride", [1, 2])
def test_imagining_afresh_equals_a_rollout(point, stride):
    world = point.World(stride)
    problem = point.problem(torch.zeros(2, 3), world)
    candidates = torch.randn(2, 5, 4, 3)
    expected = world.rollout(problem.latents, problem.states, candidates)
    afresh = imagine_afresh(problem, candidates)
    torch.testing.assert_close(afresh.latents, expected.latents)
    torch.testing.assert_close(afresh.states, expected.states)


def test_the_whole_context_runs_again_for_every_candidate_and_step(point):
    contexts = []

    class Watching(point.World):
        def rollout(self, latents, states, actions):
            contexts.append((*latents.shape[:2], *actions.shape[:3]))
            return super().rollout(latents, states, actions)

    problem = point.problem(torch.zeros(2, 3), Watching())
    imagine_afresh(problem, torch.zeros(2, 5, 3, 3))
    assert contexts == [(10, 1, 10, 1, 1), (10, 2, 10, 1, 1), (10, 3, 10, 1, 1)]


def test_what_doubts_read_is_kept(point):
    class Ensemble(point.World):
        def rollout(self, latents, states, actions):
            imagined = super().rollout(latents, states, actions)
            return replace(imagined, members=torch.stack([imagined.states, -imagined.states]))

    problem, candidates = point.problem(torch.zeros(2, 3), Ensemble()), torch.randn(2, 5, 3, 3)
    afresh = imagine_afresh(problem, candidates)
    assert torch.equal(afresh.members, torch.stack([afresh.states, -afresh.states]))
    assert torch.equal(afresh.actions, candidates)
    assert torch.equal(afresh.start_latents, problem.latents[:, -1])
    assert torch.equal(afresh.start_states, problem.states[:, -1])


def test_a_deadline_is_refused(point):
    with pytest.raises(ValueError, match="cannot keep"):
        solve(point.problem(torch.zeros(1, 3)), deadline=1.0)
