"""Two time scales find the way round that a flat search does not; each level keeps its promises."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from worldmodel.agents.planner import make_search
from worldmodel.planners import (
    CEM,
    Agent,
    CEMConfig,
    GradientConfig,
    Hierarchical,
    HierarchicalConfig,
    ICEMConfig,
    LatentDistance,
    MacroSearch,
    MPPIConfig,
    Objective,
    Problem,
    Retrieval,
    RetrievalConfig,
    TotalEnergy,
)
from worldmodel.planners.clock import now
from worldmodel.planners.hierarchical import Moments
from worldmodel.planners.retrieval import shortest_ways
from worldmodel.planners.timing import Lead, Pace

LIMIT, SPAN = 0.05, 8
FAST = CEMConfig(
    samples=48, iterations=3, horizon=8, elites=8, receding_horizon=2, active_dims=(0, 1)
)
SLOW = replace(FAST, samples=128, horizon=4, receding_horizon=1, std=0.5, correlation=0.0)
START = torch.tensor([[-0.25, 0.0], [-0.2, 0.05]])
GOAL = torch.tensor([[0.25, 0.0], [0.2, -0.05]])


def across(start, end):
    """Whether straight moves ``[..., 2]`` cross the wall: x = 0, from y = -0.2 to 0.2."""
    share = start[..., 0] / (start - end)[..., 0]
    height = start[..., 1] + share * (end - start)[..., 1]
    return (share >= 0) & (share <= 1) & (height.abs() < 0.2)


class Walled:
    """A point in the plane that moves by its action, unless the wall is in between."""

    def __init__(self, stride=1, scale=1.0):
        self.stride, self.scale, self.span = stride, scale, SPAN
        self.asked = 0

    def encode(self, frames):
        return frames[:, :, 0, :1, :2].float() / 255 - 0.5

    def project(self, latents, look):
        return latents

    def rollout(self, latents, states, actions):
        self.asked += 1
        place = latents[:, -1:, 0].expand(-1, actions.shape[1], -1)
        path = []
        for action in actions.unbind(2):
            moved = place + self.scale * action
            place = torch.where(across(place, moved)[..., None], place, moved)
            path.append(place)
        path = torch.stack(path, 2)
        return Moments(path[..., None, :], path)


def image(places):
    """One-pixel frames ``[B, 1, 1, 3]``."""
    pixels = torch.zeros(len(places), 1, 1, 3, dtype=torch.uint8)
    pixels[..., 0, 0, :2] = ((places + 0.5) * 255).round().to(torch.uint8)
    return pixels


def distance(goal):
    return TotalEnergy(LatentDistance(goal, "l2"))


def towards(latents, direct):
    return Objective(distance(latents))


def cem(config=FAST, limit=LIMIT):
    high = torch.full((2,), limit)
    return CEM(config, -high, high)


def guide(world=None, config=SLOW):
    # A macro moves by up to 2 * 0.5 * 8 * LIMIT.
    return MacroSearch(cem(config, 2.0), world or Walled(scale=0.5 * LIMIT * SPAN / 2))


def hierarchy(high_level=None, low_level=None, to=towards, **options):
    return Hierarchical(high_level or guide(), low_level or cem(), to, **{"near": 1e-4, **options})


def problem(start=START, goal=GOAL, world=None):
    energy = distance(goal[:, None])
    return Problem(
        world or Walled(), start[:, None, None], start[:, None], energy, None, goal[:, None]
    )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drive(planner, steps=60, start=START, goal=GOAL, seed=0):
    """Where points end that follow the planner, and the agent."""
    world = Walled()
    agent = Agent(world, planner, lambda latents: Objective(distance(latents)))
    agent.reset(image(goal), seed=seed)
    place = start
    for _ in range(steps):
        action = agent.act(image(place), place)
        assert bool((action.abs() <= LIMIT).all())
        moved = place + action
        place = torch.where(across(place, moved)[..., None], place, moved)
    return place, agent


def memory():
    axis = torch.linspace(-0.45, 0.45, 10)
    places = torch.cartesian_prod(axis, axis)
    return Moments(places[:, None], places)


def steps_between(here, there):
    here, there = here[..., 0, :], there[..., 0, :]
    apart = (here - there).norm(dim=-1) / LIMIT
    return apart.masked_fill(across(*torch.broadcast_tensors(here, there)), torch.inf)


def retrieval(**settings):
    return Retrieval(RetrievalConfig(**{"links": 12, **settings}), memory(), steps_between)


# What it finds


def test_a_flat_search_stops_at_the_wall():
    place, _ = drive(cem())
    assert bool((place[:, 0] < 0).all())


@pytest.mark.parametrize("high_level", [guide, retrieval])
def test_sub_goals_lead_round_the_wall(high_level):
    place, _ = drive(hierarchy(high_level(), near=0.02))
    torch.testing.assert_close(place, GOAL, atol=LIMIT, rtol=0)


@pytest.mark.parametrize("config", [ICEMConfig, MPPIConfig, GradientConfig])
def test_any_fast_planner_follows_them(config):
    high = torch.full((2,), LIMIT)
    low_level = make_search(config(horizon=8, receding_horizon=2, active_dims=(0, 1)), -high, high)
    place, _ = drive(hierarchy(low_level=low_level, near=0.02))
    torch.testing.assert_close(place, GOAL, atol=2 * LIMIT, rtol=0)


def test_sub_goals_are_where_the_slow_plan_leads_and_come_with_what_is_left_to_go():
    posed = problem()
    planner = hierarchy()
    plan, _ = planner.plan(posed, planner.init(2), generator=generator())
    way = plan.subgoals
    assert way.latents.shape == (2, SLOW.horizon, 1, 2)
    torch.testing.assert_close(
        way.energies, (way.latents[:, :, 0] - GOAL[:, None]).square().mean(-1)
    )
    assert bool((way.energies[:, -1] < way.energies[:, 0]).all())
    assert not way.direct.any()
    torch.testing.assert_close(plan.energy, plan.breakdown["goal"])


def test_the_fast_level_pursues_the_first_sub_goal():
    pursued = []

    def recording(latents, direct):
        pursued.append(latents)
        return towards(latents, direct)

    planner = hierarchy(to=recording)
    plan, _ = planner.plan(problem(), planner.init(2), generator=generator())
    assert torch.equal(pursued[0], plan.subgoals.latents[:, 0])
    end = START + plan.actions.sum(1)
    assert bool(((end - pursued[0][:, 0]).norm(dim=-1) < 0.08).all())


@pytest.mark.parametrize(
    ("goal", "options"),
    [
        (START + 0.01, {}),  # nothing on the way is nearer to the goal than here
        (START + torch.tensor([0.0, 0.1]), {"near": 0.02}),
    ],
)
def test_a_goal_that_is_near_is_pursued_itself(goal, options):
    told = []

    def recording(latents, direct):
        told.append((latents, direct))
        return towards(latents, direct)

    high_level = guide() if options else guide(Walled(scale=0.0))
    planner = hierarchy(high_level, to=recording, **options)
    planner.plan(problem(goal=goal), planner.init(2), generator=generator())
    ((latents, direct),) = told
    assert bool(direct.all())
    assert torch.equal(latents[:, 0], goal)


def test_episodes_of_a_batch_may_differ_in_whether_they_are_near():
    goal = torch.stack([GOAL[0], START[1] + 0.02])
    planner = hierarchy(near=0.001)
    plan, _ = planner.plan(problem(goal=goal), planner.init(2), generator=generator())
    assert plan.subgoals.direct.tolist() == [False, True]


# What it keeps


@pytest.mark.parametrize("high_level", [guide, retrieval])
def test_a_batch_decides_as_its_episodes_would_alone(high_level):
    together, _ = drive(hierarchy(high_level()), steps=10)
    for b in range(2):
        alone, _ = drive(hierarchy(high_level()), 10, START[b : b + 1], GOAL[b : b + 1])
        torch.testing.assert_close(alone[0], together[b])


def test_the_same_seed_decides_the_same_and_another_does_not():
    one, two, other = (drive(hierarchy(), steps=4, seed=seed)[0] for seed in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_the_slow_plan_is_renewed_after_so_many_fast_ones_and_for_another_goal():
    high_level = Walled(scale=0.01)
    planner = hierarchy(guide(high_level), replan_every=2)
    each = SLOW.iterations + 1  # populations, and the plan itself
    posed, state = problem(), planner.init(2)
    ways, searches = [], []
    for turn in range(5):
        posed = problem(goal=-GOAL) if turn == 3 else posed
        plan, state = planner.plan(posed, state, generator=generator())
        state = planner.shift(state, planner.receding_horizon)
        ways.append(plan.subgoals)
        searches.append(high_level.asked // each)
    assert searches == [1, 1, 2, 3, 3]
    assert ways[0] is ways[1]
    assert ways[3] is ways[4]


def test_the_slow_plan_is_warm_started_macro_by_macro():
    high_level = guide()
    state = high_level.init(1)
    macros = torch.arange(4.0)[None, :, None].expand(1, -1, 2)
    state = state._replace(planner=state.planner._replace(actions=macros, searched=4))
    for steps, first in [(2, 0), (4, 0), (2, 1), (8, 2)]:
        state = high_level.shift(state, steps)
        assert float(state.planner.actions[0, 0, 0]) == first


def test_both_levels_keep_a_deadline_and_the_slow_one_leaves_time(clock):
    class Slow(Walled):
        def rollout(self, *arguments):
            clock.sleep(0.01)
            return super().rollout(*arguments)

    worlds = Slow(scale=0.1), Slow()
    many = {"iterations": 1000, "samples": 8, "elites": 3, "proposals": 0}
    planner = hierarchy(
        guide(worlds[0], replace(SLOW, **many)), cem(replace(FAST, **many)), share=0.5
    )
    posed = problem(world=worlds[1])
    started = clock.time
    planner.plan(posed, planner.init(2), generator=generator(), deadline=started + 1.0)
    assert clock.time <= started + 1.0
    assert worlds[0].asked > 3
    assert worlds[1].asked > 3


def test_both_levels_know_the_pace_of_the_episodes_before():
    planner, posed = hierarchy(), problem()
    late = {"deadline": -math.inf}
    _, last = planner.plan(posed, planner.init(2), generator=generator(), **late)
    state = planner.init(2, last)
    assert state.subgoal_plan is None
    assert state.low_level.pace == last.low_level.pace != planner.init(2).low_level.pace
    assert (
        state.high_level.planner.pace
        == last.high_level.planner.pace
        != planner.init(2).high_level.planner.pace
    )


def test_without_time_to_look_ahead_the_way_stays_or_is_the_goal_itself():
    told = []

    def recording(latents, direct):
        told.append(latents)
        return towards(latents, direct)

    planner, posed = hierarchy(to=recording, replan_every=1), problem()
    late = {"deadline": -math.inf}
    first, state = planner.plan(posed, planner.init(2), generator=generator(), **late)
    assert first.subgoals.latents.shape[1] == 0
    assert bool(first.subgoals.direct.all())
    assert torch.equal(told[-1], posed.goals)
    found, state = planner.plan(posed, state, generator=generator())
    assert found.subgoals.latents.shape[1] > 0
    kept, _ = planner.plan(posed, state, generator=generator(), **late)
    assert kept.subgoals is found.subgoals
    assert len(told) == 2


@pytest.mark.parametrize("level", ["high_level", "low_level"])
def test_nan_is_counted_and_never_chosen(level):
    class Broken(Walled):
        def rollout(self, latents, states, actions):
            imagined = super().rollout(latents, states, actions)
            bad = actions[:, :, 0, 0] > 0.01
            return replace(
                imagined,
                latents=imagined.latents.masked_fill(bad[..., None, None, None], torch.nan),
            )

    broken = Broken(scale=0.1)
    planner = hierarchy(guide(broken if level == "high_level" else None))
    posed = problem(world=Broken() if level == "low_level" else None)
    plan, _ = planner.plan(posed, planner.init(2), generator=generator())
    assert plan.nonfinite > 0
    assert bool(plan.energy.isfinite().all())
    assert bool(plan.subgoals.latents.isfinite().all())


@pytest.mark.parametrize("late", [False, True])
def test_macros_that_are_proposed_and_not_finite_are_counted(late):
    def prior(goals):
        def proposal(latents, states, *, samples, horizon, generator):
            return torch.full((2, samples, horizon, 2), torch.nan)

        return proposal

    high_level = MacroSearch(cem(SLOW, 2.0), Walled(scale=0.5 * LIMIT * SPAN / 2), prior)
    planner = hierarchy(high_level)
    state = planner.init(2)
    if late:  # time to ask, none to search
        rest = state.high_level.planner._replace(pace=Pace(searching=Lead(seconds=9e9, latest=9e9)))
        state = state._replace(high_level=state.high_level._replace(planner=rest))
    given = {"deadline": now() + 1e9} if late else {}
    plan, _ = planner.plan(problem(), state, generator=generator(), **given)
    assert plan.nonfinite == 2 * (1 if late else SLOW.proposals)
    assert bool(plan.actions.isfinite().all())


def test_moments_whose_energy_is_not_finite_are_no_way_and_are_counted_once_a_goal():
    class Holed:
        def __init__(self, energy):
            self.energy = energy

        def __call__(self, trajectory):
            return self.energy(trajectory)

        def to_go(self, futures):
            found = self.energy.to_go(futures)
            return found.masked_fill(futures.latents[:, :, 0, 0, 1] > 0.44, torch.nan)

    posed = replace(problem(), energy=Holed(problem().energy))
    planner = hierarchy(retrieval(), replan_every=1)
    first, state = planner.plan(posed, planner.init(2), generator=generator())
    again, _ = planner.plan(posed, state, generator=generator())
    assert (first.nonfinite, again.nonfinite) == (2 * 10, 0)
    assert bool(first.subgoals.latents.isfinite().all())


def test_a_slow_level_without_any_finite_energy_is_an_error():
    planner = hierarchy(guide(Walled(scale=torch.nan)))
    with pytest.raises(FloatingPointError, match="finite"):
        planner.plan(problem(), planner.init(2), generator=generator())


def test_profiling_tells_the_slow_level_apart():
    planner = hierarchy()
    plan, _ = planner.plan(problem(), planner.init(2), generator=generator(), profile=True)
    assert {"high_level", "rollout", "energy"} <= set(plan.timings)


def test_goals_must_be_given():
    planner = hierarchy()
    with pytest.raises(ValueError, match="goal latents"):
        planner.plan(replace(problem(), goals=None), planner.init(2), generator=generator())


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (HierarchicalConfig(), {"replan_every": 0}, r"replan_every\n.* or equal to 1"),
        (HierarchicalConfig(), {"share": 1.0}, r"share\n.*less than 1"),
        (HierarchicalConfig(), {"towards": "cosine"}, "towards value or latent"),
        (RetrievalConfig(), {"links": 0}, r"links\n.* or equal to 1"),
        (RetrievalConfig(), {"towards": "cosine"}, "towards value or latent"),
    ],
)
def test_impossible_settings_are_refused(config, change, message):
    with pytest.raises(ValueError, match=message):
        replace(config, **change)


# The graph


def test_shortest_ways_are_those_of_the_links():
    # 0 -> 1 -> 2 -> goal, and a long way straight from 0; nothing leads from 3.
    neighbours = torch.tensor([[1, 3], [2, 0], [1, 0], [0, 1]])
    lengths = torch.tensor([[1.0, 1.0], [2.0, 1.0], [2.0, 5.0], [torch.inf, torch.inf]])
    last = torch.tensor([[9.0, torch.inf, 3.0, torch.inf], [2.0, torch.inf, torch.inf, 7.0]])
    far, onward = shortest_ways(neighbours, lengths, last)
    assert far.tolist() == [[6, 5, 3, torch.inf, 0], [2, 3, 5, 7, 0]]
    assert onward.tolist() == [[1, 2, 4, 4, 4], [4, 0, 1, 4, 4]]


def test_retrieved_sub_goals_are_remembered_moments_in_steps_of_the_distance():
    planner = hierarchy(retrieval(ahead=3.0))
    plan, _ = planner.plan(problem(), planner.init(2), generator=generator())
    subgoals = plan.subgoals.latents
    known = memory().latents
    ends = torch.cat([known, GOAL[:, None]])
    assert float(torch.cdist(subgoals.flatten(0, 2), ends.flatten(0, 1)).amin(1).max()) == 0
    first = (subgoals[:, 0, 0] - START).norm(dim=-1) / LIMIT
    assert bool((first >= 2.0).all())


def test_ways_are_found_once_per_goal(monkeypatch):
    found = []
    monkeypatch.setattr(
        "worldmodel.planners.retrieval.shortest_ways",
        lambda *arguments: found.append(1) or shortest_ways(*arguments),
    )
    drive(hierarchy(retrieval(), replan_every=1), steps=6)
    assert found == [1]


def test_where_no_way_is_known_the_goal_is_pursued():
    high_level = Retrieval(
        RetrievalConfig(links=4), memory(), lambda a, b: 99 + 0 * steps_between(a, b)
    )
    planner = hierarchy(high_level)
    plan, _ = planner.plan(problem(), planner.init(2), generator=generator())
    torch.testing.assert_close(plan.subgoals.latents, GOAL[:, None, None].expand(-1, 4, -1, -1))
