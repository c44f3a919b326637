from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from worldmodel.planners import CEM, CEMConfig, Problem

SMALL = CEMConfig(
    samples=64, iterations=4, horizon=4, elites=8, receding_horizon=1, correlation=0.0
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# What it finds


def test_finds_the_minimum_of_a_quadratic(point):
    goal = torch.tensor([[0.11, -0.07, 0.02], [-0.15, 0.0, 0.08]])
    plan = point.solve(point.problem(goal), replace(SMALL, samples=200, iterations=8))
    torch.testing.assert_close(plan.actions.sum(1), goal, atol=3e-3, rtol=0)


def test_finds_a_minimum_on_the_bounds_when_the_goal_lies_beyond(point):
    config = replace(SMALL, iterations=20, std=1.0)
    plan = point.solve(point.problem(torch.tensor([[9.0, -9.0, 0.0]])), config)
    torch.testing.assert_close(plan.actions[0, :, 0], torch.full((4,), 0.05))
    torch.testing.assert_close(plan.actions[0, :, 1], torch.full((4,), -0.05))


def test_finds_the_deeper_of_two_minima(black_box):
    deep, shallow = torch.tensor([0.1, 0.08]), torch.tensor([-0.1, -0.08])

    def wells(end):
        near = [(end - well).square().sum(-1) / 0.004 for well in (deep, shallow)]
        return -torch.exp(-near[0]) - 0.5 * torch.exp(-near[1])

    config = replace(SMALL, samples=256, iterations=8, std=0.7, active_dims=(0, 1))
    for seed in range(5):
        end = point_end(black_box(wells), config, seed)
        torch.testing.assert_close(end, deep, atol=0.02, rtol=0)


def point_end(problem, config, seed):
    low = torch.full((problem.latents.shape[-1],), -0.05)
    cem = CEM(config, low, -low)
    plan, _ = cem.plan(problem, cem.init(1), generator=generator(seed))
    return plan.actions[0].sum(0)


def test_more_iterations_lower_the_energy(point):
    problem = point.problem(torch.tensor([[0.11, -0.07, 0.02]]))
    one = point.solve(problem, replace(SMALL, iterations=1))
    many = point.solve(problem, replace(SMALL, iterations=6))
    assert many.energy < 0.2 * one.energy


def test_works_at_horizon_one(point):
    config = replace(SMALL, horizon=1, correlation=0.5, iterations=6)
    plan = point.solve(point.problem(torch.tensor([[0.03, -0.02, 0.01]])), config)
    torch.testing.assert_close(
        plan.actions[0, 0], torch.tensor([0.03, -0.02, 0.01]), atol=3e-3, rtol=0
    )


# What it returns


def test_the_plan_is_the_best_evaluated_sequence(point):
    world = point.World()
    problem = point.problem(torch.tensor([[0.11, -0.07, 0.02]]), world)
    plan = point.solve(problem, SMALL)
    evaluated = torch.cat(world.candidates, 1)
    energy, _ = problem.energy(world.rollout(problem.latents, problem.states, evaluated))
    assert torch.equal(plan.energy, energy.min(1).values)
    assert torch.equal(plan.actions[0], evaluated[0, energy[0].argmin()])


def test_trace_never_rises_and_ends_at_the_energy(point):
    plan = point.solve(point.problem(torch.tensor([[0.11, -0.07, 0.02]])), SMALL)
    assert plan.trace.shape == (1, SMALL.iterations)
    assert (plan.trace.diff(dim=1) <= 0).all()
    assert torch.equal(plan.trace[:, -1], plan.energy)


def test_breakdown_belongs_to_the_plan(point, black_box):
    problem = black_box(lambda end: end.square().sum(-1))

    def two_terms(trajectory):
        goal = (trajectory.latents[:, :, -1, 0] - 0.1).square().sum(-1)
        world = trajectory.latents.abs().mean((2, 3, 4))
        return goal + world, {"goal": goal, "world": world}

    plan = point.solve(replace(problem, energy=two_terms), replace(SMALL, active_dims=(0, 1)))
    torch.testing.assert_close(plan.breakdown["goal"] + plan.breakdown["world"], plan.energy)
    end = plan.actions[0].sum(0)
    torch.testing.assert_close(plan.breakdown["goal"][0], (end - 0.1).square().sum())


def test_profile_splits_the_time(point):
    goal = torch.zeros(1, 3)
    assert set(point.solve(point.problem(goal), SMALL, profile=True).timings) == {
        "proposal",
        "rollout",
        "energy",
        "update",
    }
    assert point.solve(point.problem(goal), SMALL).timings == {}


# Bounds and noise


def test_every_candidate_is_within_the_bounds_and_still_where_inactive(point):
    world = point.World()

    def wild(latents, states, *, samples, horizon, generator):
        return torch.full((1, samples, horizon, 3), 7.0)

    problem = point.problem(torch.tensor([[9.0, -9.0, 9.0]]), world, wild)
    plan = point.solve(problem, replace(SMALL, std=3.0, active_dims=(0, 1), proposals=4))
    candidates = torch.cat([*world.candidates, plan.actions[None]], 1)
    assert candidates.abs().max() <= 0.05
    assert (candidates[..., 2] == 0).all()
    assert (candidates[..., :2] != 0).any()


def test_std_sets_the_spread_of_the_first_population(point):
    spread = {}
    for std in (0.1, 0.3):
        world = point.World()
        point.solve(
            point.problem(torch.zeros(1, 3), world),
            replace(SMALL, samples=2000, elites=8, iterations=1, std=std),
        )
        spread[std] = world.candidates[0].std()
    torch.testing.assert_close(spread[0.1], torch.tensor(0.1 * 0.05), rtol=0.05, atol=0)
    torch.testing.assert_close(spread[0.3], torch.tensor(0.3 * 0.05), rtol=0.05, atol=0)


def test_later_populations_narrow_down_to_the_floor_and_not_below(point):
    world = point.World()
    config = replace(SMALL, samples=400, iterations=12, min_std=0.04)
    point.solve(point.problem(torch.tensor([[0.1, 0.0, 0.0]]), world), config)
    spread = [population.std(1).mean() for population in world.candidates]
    assert spread[3] < 0.75 * spread[0]
    # Less a few per cent for the mean, which is a candidate without noise.
    assert spread[-1] > 0.9 * 0.04 * 0.05


def test_momentum_mixes_the_old_mean_and_spread_with_the_elites(point):
    world = point.World()
    config = replace(SMALL, samples=4000, elites=400, std=0.2, momentum=0.5, iterations=2)
    problem = point.problem(torch.tensor([[0.02, 0.0, 0.0]]), world)
    point.solve(problem, config)
    first, second = (population[0] for population in world.candidates)
    energy, _ = problem.energy(world.rollout(problem.latents, problem.states, first[None]))
    elites = first[energy[0].topk(400, largest=False).indices]
    torch.testing.assert_close(second[-1], 0.5 * elites.mean(0))
    spread = 0.5 * elites.std(0) + 0.5 * 0.2 * 0.05
    torch.testing.assert_close(second.std(0), spread, rtol=0.06, atol=0)


def test_correlation_links_neighbouring_steps_and_keeps_the_spread(point):
    world = point.World()
    config = replace(SMALL, samples=4000, iterations=1, std=0.2, correlation=0.7)
    point.solve(point.problem(torch.zeros(1, 3), world), config)
    noise = world.candidates[0][0, :, :, 0]
    torch.testing.assert_close(torch.corrcoef(noise.T)[0, 1], torch.tensor(0.7), atol=0.05, rtol=0)
    torch.testing.assert_close(noise.std(0), torch.full((4,), 0.2 * 0.05), rtol=0.05, atol=0)


# Randomness and batches


def test_same_generator_same_plan(point):
    problem = point.problem(torch.tensor([[0.11, -0.07, 0.02]]))
    assert torch.equal(
        point.solve(problem, SMALL, 3).actions, point.solve(problem, SMALL, 3).actions
    )
    assert not torch.equal(
        point.solve(problem, SMALL, 3).actions, point.solve(problem, SMALL, 4).actions
    )


def test_global_seed_does_not_matter(point):
    problem = point.problem(torch.tensor([[0.11, -0.07, 0.02]]))
    torch.manual_seed(0)
    first = point.solve(problem, SMALL)
    torch.manual_seed(1)
    assert torch.equal(first.actions, point.solve(problem, SMALL).actions)


def test_a_batch_equals_separate_solves(point):
    goals = torch.tensor([[0.11, -0.07, 0.02], [-0.15, 0.0, 0.08], [0.0, 0.0, 0.19]])

    def jitter(latents, states, *, samples, horizon, generator):
        noise = torch.randn(samples, horizon, 3, generator=generator) * 0.02
        return (noise + latents[:, None, -1:, 0]).expand(len(latents), -1, -1, -1)

    together = point.solve(point.problem(goals, proposal=jitter), SMALL)
    for i, goal in enumerate(goals):
        alone = point.solve(point.problem(goal[None], proposal=jitter), SMALL)
        torch.testing.assert_close(together.actions[i], alone.actions[0])
        torch.testing.assert_close(together.energy[i], alone.energy[0])


# State


def test_warm_start_is_a_candidate_and_helps(point):
    cem = CEM(replace(SMALL, iterations=1), *point.bounds())
    problem = point.problem(torch.tensor([[0.11, -0.07, 0.02]]))
    noise, state, energies = generator(), cem.init(1), []
    for _ in range(6):
        plan, state = cem.plan(problem, state, generator=noise)
        energies.append(plan.energy.item())
    assert energies == sorted(energies, reverse=True)
    cold, _ = cem.plan(problem, cem.init(1), generator=noise)
    assert energies[-1] < 0.3 * cold.energy


def test_shift_drops_what_was_executed(point):
    cem = CEM(SMALL, *point.bounds())
    plan, state = cem.plan(
        point.problem(torch.tensor([[0.2, 0.0, 0.0]])), cem.init(1), generator=generator()
    )
    shifted = cem.shift(state, 3)
    assert shifted.searched == state.searched - 3 == 1
    assert torch.equal(shifted.actions[:, :1], plan.actions[:, 3:])
    assert (shifted.actions[:, 1:] == 0).all()
    # The plan itself is untouched: states are values.
    assert torch.equal(state.actions, plan.actions)


def test_nothing_is_left_to_warm_start_from_when_all_was_executed(point):
    cem = CEM(SMALL, *point.bounds())
    _, state = cem.plan(point.problem(torch.ones(1, 3)), cem.init(1), generator=generator())
    assert cem.shift(state, 4).searched == 0


def test_no_state_survives_in_the_planner(point):
    cem = CEM(SMALL, *point.bounds())
    problem = point.problem(torch.tensor([[0.11, -0.07, 0.02]]))
    first, _ = cem.plan(problem, cem.init(1), generator=generator())
    cem.plan(point.problem(torch.ones(5, 3)), cem.init(5), generator=generator(9))
    again, _ = cem.plan(problem, cem.init(1), generator=generator())
    assert torch.equal(first.actions, again.actions)


# Policy prior


def prior_towards(sequence):
    def propose(latents, states, *, samples, horizon, generator):
        noise = torch.randn(samples, horizon, 3, generator=generator) * 0.01
        noise[0] = 0
        return (sequence + noise).expand(len(latents), -1, -1, -1)

    return propose


def test_proposals_join_the_first_population_only(point):
    world = point.World()
    sequence = torch.linspace(-0.04, 0.04, 12).reshape(4, 3)
    problem = point.problem(torch.zeros(1, 3), world, prior_towards(sequence))
    point.solve(problem, replace(SMALL, proposals=5, active_dims=(0, 1, 2)))
    assert torch.equal(world.candidates[0][0, 0], sequence)
    assert not any((p[0] == sequence).all((1, 2)).any() for p in world.candidates[1:])
    near = (world.candidates[0][0] - sequence).abs().amax((1, 2)) < 0.05 * 0.9
    assert near[:5].all()


def test_a_cold_search_starts_around_the_first_proposal(point):
    world = point.World()
    sequence = torch.full((4, 3), 0.02)
    problem = point.problem(torch.zeros(1, 3), world, prior_towards(sequence))
    point.solve(problem, replace(SMALL, samples=2000, proposals=1, std=0.2))
    torch.testing.assert_close(world.candidates[0][0].mean(0), sequence, atol=1e-3, rtol=0)


def test_a_warm_search_starts_around_the_last_plan_and_still_tries_proposals(point):
    world = point.World()
    sequence = torch.full((4, 3), 0.02)
    problem = point.problem(torch.zeros(1, 3), world, prior_towards(sequence))
    cem = CEM(replace(SMALL, samples=2000, proposals=1, std=0.2), *point.bounds())
    warm = cem.init(1)._replace(actions=-torch.full((1, 4, 3), 0.02), searched=4)
    cem.plan(problem, warm, generator=generator())
    first = world.candidates[0][0]
    torch.testing.assert_close(first.mean(0), -sequence, atol=1e-3, rtol=0)
    assert torch.equal(first[0], sequence)
    assert torch.equal(first[-1], -sequence)


def test_one_sample_without_warm_start_is_the_prior_alone(point):
    sequence = torch.linspace(-0.04, 0.04, 12).reshape(4, 3)
    problem = point.problem(torch.ones(1, 3), proposal=prior_towards(sequence))
    alone = CEMConfig(samples=1, elites=1, iterations=1, proposals=1, horizon=4, warm_start=False)
    assert torch.equal(point.solve(problem, alone).actions[0], sequence)


# Numbers that are not finite


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
def test_nonfinite_energies_are_never_elite_and_are_counted(point, black_box, poison):
    def half_poisoned(end):
        return torch.where(end[..., 0] > 0, poison, (end - 0.1).square().sum(-1))

    config = replace(SMALL, active_dims=(0, 1))
    plan = point.solve(black_box(half_poisoned), config)
    assert plan.energy.isfinite().all()
    assert plan.actions[0].sum(0)[0] <= 0
    assert 0 < plan.nonfinite < config.samples * config.iterations
    torch.testing.assert_close(plan.actions[0].sum(0)[1], torch.tensor(0.1), atol=0.02, rtol=0)


def test_fewer_finite_candidates_than_elites_do_not_spoil_the_mean(point, black_box):
    calls = []

    def only_three(end):
        energy = torch.full(end.shape[:2], torch.nan)
        energy[:, 3:6] = end[:, 3:6].square().sum(-1)
        calls.append(end)
        return energy

    plan = point.solve(black_box(only_three), replace(SMALL, active_dims=(0, 1)))
    assert plan.nonfinite == 4 * (64 - 3)
    # The mean is the last candidate of the next population.
    torch.testing.assert_close(calls[1][0, -1], calls[0][0, 3:6].mean(0))


def test_an_iteration_without_a_finite_energy_is_an_error_naming_the_episode(point, black_box):
    def second_is_lost(end):
        energy = end.square().sum(-1)
        energy[1] = torch.nan
        return energy

    with pytest.raises(FloatingPointError, match=r"episodes \[1\]"):
        point.solve(black_box(second_is_lost, batch=3), replace(SMALL, active_dims=(0, 1)))


# Time


def test_no_iteration_waits_for_the_device(point, count_waits):
    def syncs(iterations):
        problem = point.problem(torch.ones(2, 3), proposal=prior_towards(torch.zeros(4, 3)))
        with count_waits() as counter:
            point.solve(problem, replace(SMALL, iterations=iterations))
        return counter.count

    assert syncs(1) == syncs(7) > 0


# Mistakes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 0}, r"samples\n.* or equal to 1"),
        ({"elites": 65}, "elites of at most samples"),
        ({"proposals": 65}, "proposals of at most samples"),
        ({"receding_horizon": 5}, "receding_horizon of at most horizon"),
        ({"std": 0.0}, r"std\n.*greater than 0"),
        ({"std": float("nan")}, r"std\n.*finite number"),
        ({"min_std": float("nan")}, r"min_std\n.*finite number"),
        ({"correlation": 1.0}, r"correlation\n.* or equal to 0.99"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_active_dims_beyond_the_action_are_refused(point):
    with pytest.raises(ValueError, match=r"within 0\.\.1 for actions of width 2"):
        CEM(replace(SMALL, active_dims=(0, 2)), *point.bounds(2))


def test_all_dimensions_are_searched_unless_some_are_named(point):
    searched = CEM(SMALL, *point.bounds(2)).box
    assert bool((searched.high > searched.low).all())


def test_a_cold_search_begins_at_rest_and_holds_others_there(point):
    low, high = point.bounds()
    rest = low + 0.75 * (high - low)
    box = CEM(replace(SMALL, active_dims=(0,)), low, high, rest).box
    start = box.cold(1, 2).actions[0, 0]
    assert torch.equal(start, rest)
    assert torch.equal(box.low[1:], rest[1:])
    assert torch.equal(box.high[1:], rest[1:])


def test_bounds_the_wrong_way_round_are_refused(point):
    low, high = point.bounds()
    with pytest.raises(ValueError, match="low <= high"):
        CEM(SMALL, high, low)


def test_a_horizon_that_is_no_multiple_of_the_stride_is_refused(point):
    with pytest.raises(ValueError, match="multiple of the world's stride of 3"):
        point.solve(point.problem(torch.zeros(1, 3), point.World(stride=3)), SMALL)


def test_a_state_of_another_batch_is_refused(point):
    cem = CEM(SMALL, *point.bounds())
    with pytest.raises(ValueError, match="state for 2 episodes, got one for 1"):
        cem.plan(point.problem(torch.zeros(2, 3)), cem.init(1), generator=generator())


def test_a_context_without_time_axis_is_refused(point):
    problem = point.problem(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="add the time axis"):
        Problem(problem.world, problem.latents[:, 0], problem.states[:, 0], problem.energy)
