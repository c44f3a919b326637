"""What every planner of the family keeps, whatever it does in between."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from worldmodel.agents.planner import make_search
from worldmodel.planners import CEM, CEMConfig
from worldmodel.planners.clock import now
from worldmodel.planners.noise import power_law
from worldmodel.planners.optimizers.cem_gradient import CEMGradient, CEMGradientConfig
from worldmodel.planners.optimizers.collocation import Collocation, CollocationConfig
from worldmodel.planners.optimizers.gradient import Gradient, GradientConfig
from worldmodel.planners.optimizers.icem import ICEM, ICEMConfig
from worldmodel.planners.optimizers.mppi import MPPI, MPPIConfig
from worldmodel.planners.optimizers.shooting import RandomShooting, RandomShootingConfig
from worldmodel.planners.search import Population
from worldmodel.planners.timing import Lead, Pace

GOAL = torch.tensor([[0.11, -0.07, 0.02], [-0.15, 0.0, 0.08]])


@dataclass(frozen=True)
class Kind:
    """A planner with a budget that solves small problems, and how near it comes to the optimum."""

    planner: type
    config: Any
    precision: float

    def make(self, width: int = 3, limit: float = 0.05, **changes: Any) -> Any:
        high = torch.full((width,), limit)
        return make_search(replace(self.config, **changes), -high, high)


SMALL = {"horizon": 4, "receding_horizon": 1}
CEM_SMALL = CEMConfig(samples=128, iterations=8, elites=10, correlation=0.0, **SMALL)
KINDS = {
    "cem": Kind(CEM, CEM_SMALL, 3e-3),
    "icem": Kind(
        ICEM, ICEMConfig(samples=128, iterations=10, decay=1.05, exponent=0.5, **SMALL), 3e-3
    ),
    "mppi": Kind(MPPI, MPPIConfig(samples=128, iterations=10, min_std=0.02, **SMALL), 6e-3),
    "shooting": Kind(RandomShooting, RandomShootingConfig(samples=2000, **SMALL), 0.05),
    "gradient": Kind(Gradient, GradientConfig(iterations=60, **SMALL), 3e-3),
    "cem_gradient": Kind(
        CEMGradient, CEMGradientConfig(samples=128, steps=40, correlation=0.0, **SMALL), 3e-3
    ),
    "collocation": Kind(
        Collocation,
        CollocationConfig(iterations=20, relaxed=3, latent_rate=0.02, noise=0.01, **SMALL),
        6e-3,
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def plan(planner: Any, problem: Any, seed: int = 0, **options: Any) -> Any:
    state = planner.init(len(problem.latents))
    return planner.plan(problem, state, generator=torch.Generator().manual_seed(seed), **options)[0]


def test_a_quadratic_is_solved(kind: Kind, point: Any) -> None:
    found = plan(kind.make(), point.problem(GOAL))
    torch.testing.assert_close(found.actions.sum(1), GOAL, atol=kind.precision, rtol=0)


def test_a_goal_out_of_reach_is_approached_along_the_bounds(kind: Kind, point: Any) -> None:
    found = plan(kind.make(), point.problem(torch.tensor([[9.0, -9.0, 0.0]])))
    assert found.actions.abs().max() <= 0.05
    reached = 0.02 if kind.planner is RandomShooting else 0.04
    assert (found.actions[0, :, :2] * torch.tensor([1.0, -1.0])).mean() > reached
    assert found.energy < 0.99 * 2 * 81 / 3


def test_the_deeper_of_two_valleys_is_found(kind: Kind, black_box: Callable[..., Any]) -> None:
    deep, shallow = torch.tensor([0.1, 0.08]), torch.tensor([-0.1, -0.08])

    def wells(end: torch.Tensor) -> torch.Tensor:
        near = [(end - well).square().sum(-1) / 0.004 for well in (deep, shallow)]
        return -torch.exp(-near[0]) - 0.5 * torch.exp(-near[1])

    planner = kind.make(
        2, active_dims=(0, 1), **({} if kind.planner is RandomShooting else {"std": 0.8})
    )
    found = plan(planner, black_box(wells))
    torch.testing.assert_close(
        found.actions[0].sum(0), deep, atol=max(kind.precision, 0.02), rtol=0
    )


def test_a_batch_decides_as_its_episodes_would_one_by_one(kind: Kind, point: Any) -> None:
    planner = kind.make()
    both = plan(planner, point.problem(GOAL))
    for index in range(2):
        alone = plan(planner, point.problem(GOAL[index : index + 1]))
        torch.testing.assert_close(both.actions[index], alone.actions[0])


def test_the_same_seed_gives_the_same_plan(kind: Kind, point: Any) -> None:
    planner, problem = kind.make(), point.problem(GOAL)
    one, again, other = (plan(planner, problem, seed) for seed in (0, 0, 1))
    assert torch.equal(one.actions, again.actions)
    assert not torch.equal(one.actions, other.actions)


def test_the_plan_is_the_best_that_was_rolled_out(kind: Kind, point: Any) -> None:
    world = point.World()
    problem = point.problem(GOAL[:1], world)
    found = plan(kind.make(), problem)
    tried = torch.cat([c for c in world.candidates if c.shape[0] == 1 and c.shape[2] == 4], 1)
    energy, _ = problem.energy(world.rollout(problem.latents, problem.states, tried))
    torch.testing.assert_close(found.energy, energy.min(1).values)
    assert (found.trace.diff(dim=1) <= 0).all()
    assert torch.equal(found.trace[:, -1], found.energy)
    assert all((c.abs() <= 0.05).all() for c in world.candidates)


def test_dimensions_that_are_not_searched_stay_at_rest(kind: Kind, point: Any) -> None:
    found = plan(kind.make(active_dims=(0, 2)), point.problem(GOAL))
    assert (found.actions[..., 1] == 0).all()
    assert (found.actions[..., 0] != 0).any()


def test_one_step_ahead_is_enough(kind: Kind, point: Any) -> None:
    goal = torch.tensor([[0.03, -0.02, 0.01]])
    found = plan(kind.make(horizon=1), point.problem(goal))
    torch.testing.assert_close(found.actions[0, 0], goal[0], atol=max(kind.precision, 0.01), rtol=0)


def test_worlds_that_imagine_two_steps_at_once_will_do(kind: Kind, point: Any) -> None:
    found = plan(kind.make(), point.problem(GOAL, point.World(stride=2)))
    torch.testing.assert_close(found.actions.sum(1), GOAL, atol=kind.precision, rtol=0)


def test_nan_is_never_chosen_and_is_counted(kind: Kind, black_box: Callable[..., Any]) -> None:
    def holed(end: torch.Tensor) -> torch.Tensor:
        energy = (end - 0.05).square().sum(-1)
        return energy.masked_fill(end[..., 0] > 0.02, torch.nan)

    found = plan(kind.make(2, active_dims=(0, 1)), black_box(holed))
    assert torch.isfinite(found.energy).all()
    assert found.nonfinite > 0


def test_nothing_but_nan_is_an_error(kind: Kind, black_box: Callable[..., Any]) -> None:
    problem = black_box(lambda end: end.sum(-1) * torch.nan)
    with pytest.raises(FloatingPointError, match="episodes \\[0\\]"):
        plan(kind.make(2, active_dims=(0, 1)), problem)


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_a_prior_that_proposes_no_numbers_proposes_rest_and_is_counted(
    number: float, kind: Kind, point: Any
) -> None:
    def proposal(*_: Any, samples: int, horizon: int, **__: Any) -> torch.Tensor:
        return torch.full((2, samples, horizon, 3), number)

    world = point.World()
    problem = replace(point.problem(GOAL, world), proposal=proposal)
    planner, slow = kind.make(), Pace(searching=Lead(seconds=9e9, latest=9e9))
    state, started = planner.init(2), now()
    for pace, deadline, asked in (
        (Pace(), None, kind.config.proposals),
        (slow, started + 1e9, 1),  # time to ask, none to search
        (Pace(), -math.inf, 0),
    ):
        found, _ = planner.plan(
            problem, state._replace(pace=pace), generator=torch.Generator(), deadline=deadline
        )
        assert found.actions.isfinite().all()
        assert found.nonfinite == 2 * asked
    assert any((tried == 0).all((2, 3)).any() for tried in world.candidates)


def test_only_proposals_with_a_number_that_is_not_finite_are_counted(
    kind: Kind, point: Any
) -> None:
    def proposal(*_: Any, samples: int, horizon: int, **__: Any) -> torch.Tensor:
        proposals = torch.full((2, samples, horizon, 3), 0.01)
        proposals[1, 2, -1, 0] = torch.nan
        proposals[1, 2, 0, 1] = torch.inf
        return proposals

    problem = replace(point.problem(GOAL), proposal=proposal)
    assert plan(kind.make(), problem).nonfinite == 1
    assert plan(kind.make(), point.problem(GOAL)).nonfinite == 0


def test_after_the_deadline_nothing_is_searched(kind: Kind, point: Any) -> None:
    world = point.World()
    late = plan(kind.make(), point.problem(GOAL, world), deadline=-math.inf)
    assert late.trace.shape == (2, 0)
    assert (late.actions == 0).all()
    assert not world.candidates


def test_what_is_left_of_a_plan_is_where_the_next_begins(kind: Kind, point: Any) -> None:
    planner, problem = kind.make(), point.problem(GOAL)
    generator = torch.Generator().manual_seed(0)
    first, state = planner.plan(problem, planner.init(2), generator=generator)
    world = point.World()
    planner.plan(replace(problem, world=world), planner.shift(state, 1), generator=generator)
    rest = torch.cat([first.actions[:, 1:], torch.zeros(2, 1, 3)], 1)
    apart = (world.candidates[0] - rest[:, None]).abs().amax((2, 3)).amin(1)
    assert (apart < 1e-6).all()


@pytest.mark.parametrize("name", [name for name in KINDS if name != "shooting"])
def test_the_spread_is_that_of_the_first_candidates(name: str, point: Any) -> None:
    spreads = []
    for std in (0.1, 0.4):
        world = point.World()
        plan(KINDS[name].make(std=std, samples=200), point.problem(GOAL[:1], world))
        spreads.append(world.candidates[0].detach().std().item())
    assert spreads[1] / spreads[0] == pytest.approx(4, rel=0.1)


def test_no_state_survives_in_the_planner(kind: Kind, point: Any) -> None:
    planner = kind.make()
    first = plan(planner, point.problem(GOAL))
    plan(planner, point.problem(-GOAL[:1]), seed=3)
    assert torch.equal(plan(planner, point.problem(GOAL)).actions, first.actions)


def test_a_state_of_another_batch_is_refused(kind: Kind, point: Any) -> None:
    planner = kind.make()
    with pytest.raises(ValueError, match="a planner state for 2 episodes, got one for 3"):
        planner.plan(point.problem(GOAL), planner.init(3), generator=torch.Generator())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"horizon": 0}, r"horizon\n.* or equal to 1"),
        ({"samples": 0}, r"samples\n.* or equal to 1"),
        ({"receding_horizon": 9}, "receding_horizon of at most horizon"),
        ({"proposals": -1}, r"proposals\n.* or equal to 0"),
        ({"active_dims": ()}, "one or more active_dims"),
        ({"active_dims": (0, 1, 1)}, "active_dims, each once"),
    ],
)
def test_settings_that_make_no_search_are_refused(
    kind: Kind, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        kind.make(**changes)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("cem", {"elites": 129}, "elites of at most samples"),
        ("icem", {"elites": 129}, "elites of at most samples"),
        ("cem_gradient", {"elites": 129}, "elites of at most samples"),
        ("cem_gradient", {"refined": 99}, "refined of at most elites"),
    ],
)
def test_more_elites_than_there_are_to_choose_from_are_refused(
    name: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        KINDS[name].make(**changes)


@pytest.mark.parametrize("limit", [-0.05, 3e38, torch.inf, torch.nan])
def test_bounds_that_are_reversed_or_infinite_are_refused(kind: Kind, limit: float) -> None:
    with pytest.raises(ValueError, match="finite bounds low <= high"):
        kind.make(limit=limit)


def test_bounds_without_rest_are_refused_where_an_action_stays_zero() -> None:
    low, high = torch.tensor([-0.1, 0.01]), torch.tensor([0.1, 0.05])
    with pytest.raises(ValueError, match="bounds around rest where an action stays there"):
        make_search(CEMConfig(active_dims=(0,)), low, high)
    assert make_search(CEMConfig(active_dims=(0, 1)), low, high).init(1).actions[0, 0, 1] == 0.01


@pytest.mark.parametrize("high", [torch.tensor(0.05), torch.tensor([1, 1, 1])])
def test_bounds_that_are_no_vector_of_real_numbers_are_refused(high: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="floating-point of shape"):
        make_search(CEMConfig(), -high, high)


def test_a_warm_start_is_tried_also_where_proposals_fill_the_population(
    kind: Kind, point: Any
) -> None:
    planner = kind.make(
        samples=16, proposals=16, **({"elites": 4} if hasattr(kind.config, "elites") else {})
    )
    generator = torch.Generator().manual_seed(0)
    first, state = planner.plan(point.problem(GOAL), planner.init(2), generator=generator)
    world = point.World()

    def still(*_: Any, samples: int, horizon: int, **__: Any) -> torch.Tensor:
        return torch.zeros(2, samples, horizon, 3)

    problem = replace(point.problem(GOAL, world), proposal=still)
    planner.plan(problem, planner.shift(state, 1), generator=generator)
    rest = torch.cat([first.actions[:, 1:], torch.zeros(2, 1, 3)], 1)
    apart = (world.candidates[0] - rest[:, None]).abs().amax((2, 3)).amin(1)
    assert (apart < 1e-6).all()


def test_cut_by_a_deadline_a_search_gives_the_best_so_far_in_time(
    kind: Kind, point: Any, clock: Any
) -> None:
    deadline = clock.time + 9.5

    class Slow(point.World):
        def rollout(self, *context: Any) -> Any:
            clock.sleep(1.0)
            return super().rollout(*context)

    world = Slow()
    found = plan(kind.make(iterations=50), point.problem(GOAL[:1], world), deadline=deadline)
    assert clock.time <= deadline
    assert 0 < found.trace.shape[1] < 10
    whole = [tried for tried in world.candidates if tried.shape[2] == 4]
    ends = torch.cat(whole, 1).sum(2)
    best = (ends - GOAL[0]).square().mean(-1).min()
    torch.testing.assert_close(found.energy[0], best, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("prior", "expected"), [(0.03, [0, 2, 5, 10]), (0.05, [0, 1, 2, 3, 5, 6, 10, 11])]
)
def test_a_deadline_that_no_iteration_fits_is_overrun_ever_more_seldom(
    kind: Kind,
    prior: float,
    expected: list[int],
    point: Any,
    clock: Any,
) -> None:

    class Slow(point.World):
        def rollout(self, *context: Any) -> Any:
            clock.sleep(0.03)
            return super().rollout(*context)

    def slow_prior(*_: Any, samples: int, horizon: int, **__: Any) -> torch.Tensor:
        clock.sleep(prior)
        return torch.zeros(1, samples, horizon, 3)

    planner = kind.make()
    problem = replace(point.problem(GOAL[:1], Slow()), proposal=slow_prior)
    state, late = planner.init(1), []
    for number in range(16):
        before = clock.time
        _, state = planner.plan(problem, state, generator=torch.Generator(), deadline=before + 0.04)
        state = planner.shift(state, 1)
        if clock.time > before + 0.04:
            late.append(number)
    assert late == expected


def test_goals_of_another_shape_are_refused(point: Any) -> None:
    problem = point.problem(GOAL)
    with pytest.raises(ValueError, match=r"Expected goal latents \[B,N,D\] = \[2, 1, 3\]"):
        replace(problem, goals=torch.zeros(1, 1, 3))
    with pytest.raises(ValueError, match=r"committed as \[B,d,A\] of 2 episodes"):
        replace(problem, committed=torch.zeros(2, 3))


@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "shooting"])
def test_no_iteration_waits_for_the_device(name: str, point: Any, count_waits: Any) -> None:
    waits = []
    for iterations in (1, 5):
        planner = KINDS[name].make(iterations=iterations, samples=64)
        with count_waits() as counter:
            plan(planner, point.problem(GOAL))
        waits.append(counter.count)
    assert waits[0] == waits[1] > 0


def test_counting_proposals_that_are_not_finite_takes_no_wait_of_its_own(
    kind: Kind, point: Any, count_waits: Any
) -> None:
    def proposal(*_: Any, samples: int, horizon: int, **__: Any) -> torch.Tensor:
        return torch.zeros(2, samples, horizon, 3)

    waits = []
    for problem in (point.problem(GOAL), replace(point.problem(GOAL), proposal=proposal)):
        with count_waits() as counter:
            plan(kind.make(iterations=2), problem)
        waits.append(counter.count)
    assert waits[0] == waits[1] > 0


def test_every_plan_begins_with_what_is_done_in_the_meantime(kind: Kind, point: Any) -> None:
    world, committed = point.World(), torch.tensor([[[0.05, 0.0, -0.05]], [[-0.04, 0.02, 0.0]]])
    found = plan(kind.make(), replace(point.problem(GOAL, world), committed=committed))
    torch.testing.assert_close(found.actions[:, :1], committed)
    whole = [tried for tried in world.candidates if tried.shape[2] == 4]
    assert all(
        torch.equal(tried[:, :, :1], committed[:, None].expand_as(tried[:, :, :1]))
        for tried in whole
    )
    torch.testing.assert_close(found.actions.sum(1), GOAL, atol=2 * kind.precision, rtol=0)


def test_a_world_of_networks_can_be_searched(kind: Kind, point: Any) -> None:
    """What a command hands over: weights that need no gradient, goals made without any."""
    torch.manual_seed(0)

    class Network(point.World):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(3, 3).requires_grad_(False)
            self.net.weight.data = torch.eye(3)

        def rollout(self, latents: Any, states: Any, actions: Any) -> Any:
            return super().rollout(latents, states, self.net(actions) - self.net.bias)

    with torch.no_grad():
        found = plan(kind.make(), point.problem(GOAL, Network()))
    torch.testing.assert_close(found.actions.sum(1), GOAL, atol=kind.precision, rtol=0)


@pytest.mark.parametrize("name", ["gradient", "cem_gradient", "collocation"])
def test_gradient_searches_refuse_a_world_without_gradients(name: str, point: Any) -> None:
    class Opaque(point.World):
        def rollout(self, latents: Any, states: Any, actions: Any) -> Any:
            with torch.no_grad():
                return super().rollout(latents, states, actions)

    with pytest.raises(ValueError, match="a world that gradients pass through"):
        plan(KINDS[name].make(), point.problem(GOAL, Opaque()))


# What makes each of them itself


@pytest.mark.parametrize("name", ["gradient", "collocation"])
def test_a_last_evaluation_is_followed_by_no_gradients(
    name: str, point: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    monkeypatch.setattr("torch.optim.Adam.step", lambda self: steps.append(len(steps)))
    sizes = {"iterations": 3, **({"relaxed": 0} if name == "collocation" else {})}
    kind = {"gradient": GradientConfig, "collocation": CollocationConfig}[name]
    settings = kind(horizon=4, **sizes)
    found = plan(make_search(settings, *point.bounds()), point.problem(GOAL))
    assert found.trace.shape[1] == 3
    assert len(steps) == 2


def test_icem_evaluates_fewer_candidates_from_round_to_round_but_twice_its_elites(
    point: Any,
) -> None:
    world = point.World()
    config = ICEMConfig(samples=64, iterations=5, elites=8, decay=1.5, horizon=4)
    plan(make_search(config, *point.bounds()), point.problem(GOAL, world))
    assert [tried.shape[1] for tried in world.candidates] == [64, 43, 28, 19, 16]


def test_icem_evaluates_its_best_elites_again_and_its_mean_in_the_end(point: Any) -> None:
    world = point.World()
    config = ICEMConfig(samples=40, iterations=3, elites=10, keep=0.3, momentum=0.0, horizon=4)
    problem = point.problem(GOAL[:1], world)
    plan(make_search(config, *point.bounds()), problem)
    first, second, last = world.candidates
    energy, _ = problem.energy(world.rollout(problem.latents, problem.states, first))
    elites = first[0, energy[0].argsort()[:10]]
    torch.testing.assert_close(second[0, :3], elites[:3])
    energy, _ = problem.energy(world.rollout(problem.latents, problem.states, second))
    mean = second[0, energy[0].argsort()[:10]].mean(0)
    torch.testing.assert_close(last[0, 0], mean)


def test_coloured_noise_has_a_power_law_spectrum_and_unit_variance() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    for exponent in (0.0, 1.0, 2.0):
        colour = power_law(32, exponent, like)
        torch.testing.assert_close(colour.square().sum(1), torch.ones(32, dtype=torch.float64))
        power = torch.fft.rfft(colour, dim=0).abs().square().sum(1)[1:16]
        falls = torch.log(power[3] / power[7]) / torch.log(torch.tensor(2.0))
        assert falls == pytest.approx(exponent, abs=1e-6)
    assert torch.equal(power_law(1, 2.0, like), torch.ones(1, 1, dtype=torch.float64))


def test_mppi_weighs_by_energy_the_more_sharply_the_colder_it_is() -> None:
    energy = torch.tensor([[0.0, 1.0, 2.0, 4.0, 1e9, torch.inf]])
    actions = torch.zeros(1, 6, 4, 3)
    cold, warm = (
        MPPI(MPPIConfig(temperature=t, **SMALL), -torch.ones(3), torch.ones(3))._weights(
            Population(actions, energy, {})
        )[0]
        for t in (0.1, 1.0)
    )
    # The median of the finite ones is 2: one outlier, however far off, changes no weight.
    torch.testing.assert_close(warm[1] / warm[0], torch.exp(torch.tensor(-0.5)))
    assert cold[0] > 0.99 > warm[0]
    assert warm[4] == warm[5] == 0


def test_collocation_improves_actions_by_each_steps_own_residual(point: Any) -> None:
    def energies(**changes: Any) -> list[float]:
        config = CollocationConfig(
            iterations=2, samples=1, proposals=0, std=0.0, noise=0.0, **SMALL | changes
        )
        found = plan(make_search(config, *point.bounds()), point.problem(GOAL[:1]))
        return found.trace[0].tolist()

    without, once, often = (energies(relaxed=steps)[-1] for steps in (0, 1, 8))
    assert often < once < without


def test_collocation_lets_no_gradient_through_the_start_of_a_step(point: Any) -> None:
    seen: list[bool] = []

    class Watching(point.World):
        def rollout(self, latents: Any, states: Any, actions: Any) -> Any:
            if actions.shape[2] == 1:
                seen.append(latents.requires_grad or states.requires_grad)
            return super().rollout(latents, states, actions)

    plan(KINDS["collocation"].make(), point.problem(GOAL, Watching()))
    assert seen
    assert not any(seen)
