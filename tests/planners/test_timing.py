"""Deadlines: what is still done before them, and what is returned where nothing is."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from worldmodel.planners import CEM, CEMConfig, Gradient, GradientConfig
from worldmodel.planners.timing import Lead, Pace

SMALL = CEMConfig(
    samples=64, iterations=4, horizon=4, elites=8, receding_horizon=1, correlation=0.0
)
GOAL = torch.tensor([[0.11, -0.07, 0.02]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def slow(point, clock):
    """A clock and a world whose rollouts take a second of it."""

    class Slow(point.World):
        def rollout(self, latents, states, actions):
            clock.sleep(1.0)
            return super().rollout(latents, states, actions)

    return clock, Slow


@pytest.fixture
def costs():
    """What the prior takes, s: once, and for each proposal."""
    return SimpleNamespace(prior=0.25, proposal=0.0)


@pytest.fixture
def advised(slow, costs, point):
    """A problem with a prior that would move on, and how many candidates it was asked for."""
    clock, world = slow
    asked = []

    def propose(latents, states, *, samples, horizon, generator):
        clock.sleep(costs.prior + costs.proposal * samples)
        asked.append(samples)
        return torch.full((len(latents), samples, horizon, 3), 0.03)

    return point.problem(GOAL, world(), propose), asked


@pytest.fixture
def planned(slow, point):
    """Plan again and again from what the last plan left, with some seconds for each plan."""
    clock, _ = slow

    def plans(problem, *seconds, **changes):
        cem, found = CEM(replace(SMALL, **changes), *point.bounds()), []
        state = cem.init(1)
        for left in seconds:
            deadline = clock.time + left
            plan, state = cem.plan(problem, state, generator=generator(), deadline=deadline)
            found.append((plan, clock.time - deadline + left))
            state = cem.shift(state, 1)
        return found

    return plans


def test_a_deadline_returns_the_best_so_far_in_time(point, slow):
    clock, world = slow
    problem = point.problem(GOAL, world())
    plan = point.solve(problem, replace(SMALL, iterations=50), deadline=clock.time + 3.5)
    assert clock.time == 103.0
    assert plan.trace.shape == (1, 3)
    unhurried = point.solve(problem, replace(SMALL, iterations=3))
    assert torch.equal(plan.actions, unhurried.actions)


def test_a_first_plan_tries_an_iteration_if_there_is_any_time(point, slow):
    clock, world = slow
    problem = point.problem(GOAL, world())
    plan = point.solve(problem, SMALL, deadline=clock.time + 0.1)
    assert plan.trace.shape == (1, 1)
    assert plan.actions.abs().sum() > 0


def test_too_late_for_an_iteration_the_plan_is_the_rest_of_the_last_and_says_so(point, slow):
    clock, world = slow
    problem = point.problem(GOAL, world())
    cem = CEM(SMALL, *point.bounds())
    late = cem.plan(problem, cem.init(1), generator=generator(), deadline=clock.time - 1.0)[0]
    assert (late.actions == 0).all()
    first, state = cem.plan(problem, cem.init(1), generator=generator(), deadline=clock.time + 9.0)
    state = cem.shift(state, 1)
    asked = len(problem.world.candidates)
    # By now it is known that an iteration takes a second.
    plan, again = cem.plan(problem, state, generator=generator(), deadline=clock.time + 0.5)
    assert len(problem.world.candidates) == asked
    assert torch.equal(plan.actions[:, :3], first.actions[:, 1:])
    assert plan.trace.shape == (1, 0)
    assert plan.energy.isinf().all()
    assert again.searched == 3
    in_time, _ = cem.plan(problem, again, generator=generator(), deadline=clock.time + 1.5)
    assert in_time.trace.shape == (1, 1)


def test_without_a_deadline_all_iterations_run(point, slow):
    _, world = slow
    plan = point.solve(point.problem(torch.ones(1, 3), world()), SMALL)
    assert plan.trace.shape == (1, SMALL.iterations)


def test_without_warm_start_the_rest_of_a_plan_is_only_what_to_do_when_it_is_too_late(point):
    cem, world = CEM(replace(SMALL, warm_start=False), *point.bounds()), point.World()
    problem = point.problem(torch.ones(1, 3), world)
    plan, state = cem.plan(problem, cem.init(1), generator=generator())
    state = cem.shift(state, 1)
    late, _ = cem.plan(problem, state, generator=generator(), deadline=0.0)
    assert torch.equal(late.actions[:, :3], plan.actions[:, 1:])
    cem.plan(problem, state, generator=generator())
    centre = world.candidates[SMALL.iterations][:, -1]
    assert (centre == 0).all()


@pytest.mark.parametrize(
    ("slow", "rounds"), [([0.06], [1] * 6), ([0.06, 0.07], [1, 1, 1, 0, 1, 1])]
)
def test_slow_iterations_do_not_end_all_searching(point, clock, slow, rounds):
    costs = iter([0.03, *slow, *[0.03] * 20])

    class Slow(point.World):
        def rollout(self, *context):
            clock.sleep(next(costs))
            return super().rollout(*context)

    cem, problem = CEM(SMALL, *point.bounds()), point.problem(torch.ones(1, 3), Slow())
    state, found = cem.init(1), []
    for _ in rounds:
        plan, state = cem.plan(problem, state, generator=generator(), deadline=clock.time + 0.045)
        state = cem.shift(state, 1)
        found.append(plan.trace.shape[1])
    assert found == rounds


# A policy prior


def test_without_time_to_search_the_prior_alone_decides_where_plans_begin_with_it(advised, planned):
    problem, asked = advised
    (_, _), (plan, took) = planned(problem, 9.0, 0.5, warm_start=False)
    assert (plan.actions == 0.03).all()
    assert plan.trace.shape == (1, 0)
    assert took == 0.25
    assert asked == [SMALL.proposals, 1]


def test_where_plans_follow_the_last_one_it_is_not_asked(advised, planned):
    problem, asked = advised
    (searched, _), (plan, took) = planned(problem, 9.0, 0.5)
    assert torch.equal(plan.actions[:, :3], searched.actions[:, 1:])
    assert took == 0
    assert asked == [SMALL.proposals]


def test_a_prior_that_proves_too_slow_for_a_search_is_what_is_done(advised, planned, costs):
    costs.prior = 2.0
    ((plan, _),) = planned(advised[0], 1.5)
    assert (plan.actions == 0.03).all()
    assert plan.trace.shape == (1, 0)


def test_a_prior_too_slow_for_a_search_is_asked_alone_where_that_fits(advised, planned, costs):
    costs.proposal = 0.1
    found = planned(advised[0], *[1.5] * 8, warm_start=False)
    assert [number for number, (_, took) in enumerate(found) if took > 1.5] == [0, 2, 5]
    assert all((plan.actions == 0.03).all() for plan, _ in found)
    assert advised[1] == [24, 1, 24, 1, 1, 24, 1, 1]


def test_a_prior_that_takes_too_long_is_asked_ever_more_seldom(advised, planned, costs):
    costs.prior = 2.0
    found = planned(advised[0], *[1.5] * 24, warm_start=False)
    late = [number for number, (_, took) in enumerate(found) if took > 0]
    assert late == [0, 1, 2, 3, 5, 6, 10, 11, 19, 20]
    in_between = found[4][0]
    assert (in_between.actions[:, :3] == 0.03).all()  # the rest of what it said last
    assert (in_between.actions[:, 3:] == 0).all()


def test_once_nothing_is_left_of_a_searched_plan_the_prior_is_asked(advised, slow, point):
    problem, asked = advised
    clock, _ = slow
    cem = CEM(SMALL, *point.bounds())
    plan, state = cem.plan(problem, cem.init(1), generator=generator())
    state = state._replace(pace=Pace(searching=Lead(seconds=1.0, overruns=9)))
    found = []
    for left in (3, 2, 1, 0):
        state = cem.shift(state, 1)
        assert state.searched == left
        late, state = cem.plan(problem, state, generator=generator(), deadline=clock.time + 0.5)
        found.append(late.actions)
    assert torch.equal(found[2][:, 0], plan.actions[:, 3])
    assert asked == [SMALL.proposals, 1]
    assert (found[3] == 0.03).all()


def test_what_the_prior_would_do_carries_no_gradients(advised, clock, costs, point):
    problem, _ = advised
    weight = torch.ones(1, requires_grad=True)
    moved = problem.proposal
    problem = replace(problem, proposal=lambda *a, **k: weight * moved(*a, **k))
    costs.prior = 2.0
    planner = Gradient(GradientConfig(horizon=4), *point.bounds())
    deadline = clock.time + 1.5
    plan, state = planner.plan(problem, planner.init(1), generator=generator(), deadline=deadline)
    assert plan.trace.shape == (1, 0)
    assert (plan.actions == 0.03).all()
    assert not plan.actions.requires_grad
    assert not state.actions.requires_grad


def test_no_prior_is_asked_once_the_deadline_has_passed(advised, planned):
    problem, asked = advised
    ((plan, _),) = planned(problem, -1.0)
    assert (plan.actions == 0).all()
    assert not asked


# The next episode


def test_of_the_episode_before_only_the_pace_is_known(slow, point):
    clock, world = slow
    cem, problem = CEM(SMALL, *point.bounds()), point.problem(GOAL, world())
    _, last = cem.plan(problem, cem.init(1), generator=generator(), deadline=clock.time + 9.0)
    state = cem.init(1, last)
    assert state.pace == last.pace
    assert state.searched == 0
    assert (state.actions == 0).all()
    plan, _ = cem.plan(problem, state, generator=generator(), deadline=clock.time + 0.5)
    assert plan.trace.shape == (1, 0)


def test_what_is_found_is_weighed_against_the_prior_in_time(advised, slow, point) -> None:
    clock, _ = slow
    problem, _ = advised
    weighed = replace(problem, referee=lambda futures: torch.ones(futures.latents.shape[:2]))
    deadline = clock.now() + 4.0
    plan = point.solve(weighed, SMALL, deadline=deadline)
    assert plan.trace.shape[1] == 2  # a third round would fit, but not what follows it
    assert clock.now() <= deadline
