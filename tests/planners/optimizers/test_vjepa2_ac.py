"""The published search of V-JEPA 2-AC, held against its steps written out for one episode."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from worldmodel.planners import VJEPA2AC, LatentDistance, TotalEnergy, VJEPA2ACConfig

SMALL = VJEPA2ACConfig(samples=64, iterations=4)
WIDE = torch.tensor([1.0] * 7)


def plan(point, goal: Tensor, config=SMALL, high=WIDE, seed=0, world=None, **options):
    problem = point.problem(goal, world, metric="l1")
    planner = VJEPA2AC(config, -high, high)
    generator = torch.Generator().manual_seed(seed)
    return planner.plan(problem, planner.init(len(goal)), generator=generator, **options)[0]


def published(goal: Tensor, config: VJEPA2ACConfig, seed: int) -> Tensor:
    """One episode of a point that moves by its action, as the paper's code goes about it."""
    generator = torch.Generator().manual_seed(seed)
    mean = torch.zeros(config.horizon, 4)
    std = torch.tensor([0.075, 0.075, 0.075, 1.0]).repeat(config.horizon, 1)
    for _ in range(config.iterations):
        steps = []
        for h in range(config.horizon):
            drawn = torch.randn(config.samples, 4, generator=generator) * std[h] + mean[h]
            moved, grip = drawn[:, :3].clip(-0.075, 0.075), drawn[:, 3:].clip(-0.75, 0.75)
            steps.append(torch.cat([moved, torch.zeros(config.samples, 3), grip], 1))
        actions = torch.stack(steps, 1)
        distance = (actions.sum(1) - goal).abs().mean(1)
        chosen = actions[distance.topk(config.elites, largest=False).indices]
        chosen = torch.cat([chosen[..., :3], chosen[..., 6:]], -1)
        for kept, new, (xyz, grip) in (
            (mean, chosen.mean(0), (0.15, 0.15)),
            (std, chosen.std(0), (0.75, 0.15)),
        ):
            kept[:, :3] = new[:, :3] * (1 - xyz) + kept[:, :3] * xyz
            kept[:, 3:] = new[:, 3:] * (1 - grip) + kept[:, 3:] * grip
    grip = torch.where(mean[:, 3:].abs() < 0.25, 0.0, mean[:, 3:])
    return torch.cat([mean[:, :3], torch.zeros(config.horizon, 3), grip], 1)


@pytest.mark.parametrize("horizon", [1, 2])
@pytest.mark.parametrize("grip", [0.1, -0.6])
def test_a_plan_is_the_published_one(point, horizon, grip):
    goal = torch.tensor([0.05, -0.02, 0.3, 0.2, 0.0, 0.0, grip])
    config = replace(SMALL, horizon=horizon)
    expected = published(goal, config, seed=3)
    torch.testing.assert_close(plan(point, goal[None], config, seed=3).actions[0], expected)


def test_the_defaults_are_the_published_settings():
    config = VJEPA2ACConfig()
    assert (config.samples, config.iterations, config.elites, config.horizon) == (800, 10, 10, 1)
    assert (config.box, config.gripper_box, config.gripper_threshold) == (0.075, 0.75, 0.25)
    assert (config.momentum_mean, config.momentum_std) == (0.15, 0.75)
    assert (config.gripper_momentum_mean, config.gripper_momentum_std) == (0.15, 0.15)


def test_a_batch_is_solved_as_its_episodes_would_be(point):
    goals = torch.tensor([[0.05] * 7, [-0.02, 0.07, 0.0, 0.0, 0.0, 0.0, 0.5]])
    both = plan(point, goals)
    for index in range(2):
        alone = plan(point, goals[index : index + 1])
        torch.testing.assert_close(both.actions[index], alone.actions[0])
        torch.testing.assert_close(both.energy[index], alone.energy[0])


def test_the_energy_told_is_that_of_the_plan(point):
    goal = torch.tensor([[0.05, -0.02, 0.03, 0.0, 0.0, 0.0, 0.6]])
    found = plan(point, goal)
    torch.testing.assert_close(found.energy, (found.actions[:, 0] - goal).abs().mean(1))
    assert (found.trace[:, 1:] <= found.trace[:, :-1]).all()


def test_nothing_leaves_the_box_nor_the_bounds(point):
    world = point.World()
    narrow = torch.tensor([0.05, 0.05, 0.2, 0.1, 0.1, 0.1, 0.5])
    goal = torch.full((1, 7), 9.0)
    found = plan(point, goal, high=narrow, world=world)
    most = torch.tensor([0.05, 0.05, 0.075, 0.0, 0.0, 0.0, 0.5])
    for candidates in [*world.candidates, found.actions]:
        assert (candidates.abs() <= most).all()
    assert found.actions[0, 0, :2].min() > 0.04


def test_bounds_on_one_side_only_are_searched(point):
    low, high = -0.05 * WIDE, 0.05 * WIDE
    high[2] = 0.0
    goal = torch.tensor([[0.03, 0.0, -0.04, 0.0, 0.0, 0.0, 0.0]])
    planner = VJEPA2AC(replace(SMALL, iterations=8), low, high)
    problem = point.problem(goal, metric="l1")
    found, _ = planner.plan(problem, planner.init(1), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.actions[0, 0, :3], goal[0, :3], atol=6e-3, rtol=0)


def test_no_iteration_waits_for_the_device(point, count_waits):
    waits = []
    for iterations in (1, 5):
        with count_waits() as counter:
            plan(point, torch.zeros(1, 7), replace(SMALL, iterations=iterations))
        waits.append(counter.count)
    assert waits[0] == waits[1] > 0


def test_nan_is_never_elite_and_counted(point):
    class Broken(point.World):
        def rollout(self, latents, states, actions):
            imagined = super().rollout(latents, states, actions)
            imagined.latents[actions[:, :, -1, 0] > 0.0] = math.nan
            return imagined

    goal = torch.tensor([[0.07, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    problem = point.problem(goal, Broken(), metric="l1")
    planner = VJEPA2AC(SMALL, -WIDE, WIDE)
    found, _ = planner.plan(problem, planner.init(1), generator=torch.Generator().manual_seed(0))
    assert found.nonfinite > 0
    assert found.actions[0, 0, 0] <= 0
    nowhere = TotalEnergy(LatentDistance(torch.full((1, 1, 7), math.nan)))
    hopeless = replace(problem, energy=nowhere)
    with pytest.raises(FloatingPointError, match=r"episodes \[0\]"):
        planner.plan(hopeless, planner.init(1), generator=torch.Generator().manual_seed(0))


def test_a_mean_that_leads_to_nan_is_no_plan(point):
    class Holed(point.World):
        def rollout(self, latents, states, actions):
            imagined = super().rollout(latents, states, actions)
            middle = actions[:, :, -1, 0].abs() < 0.02
            imagined.latents[middle] = math.nan
            return imagined

    # Candidates on both sides are as good; their mean is in the hole between them.
    problem = point.problem(torch.zeros(1, 7), Holed(), metric="l1")
    planner = VJEPA2AC(VJEPA2ACConfig(samples=64, iterations=1, elites=64), -WIDE, WIDE)
    with pytest.raises(FloatingPointError, match=r"mean of the elites.*episodes \[0\]"):
        planner.plan(problem, planner.init(1), generator=torch.Generator().manual_seed(0))


def test_no_plan_leaves_anything_to_the_next(point):
    goal = torch.tensor([[0.05] * 7])
    planner = VJEPA2AC(SMALL, -WIDE, WIDE)
    problem, state = point.problem(goal, metric="l1"), planner.init(1)
    plans = []
    for _ in range(2):
        found, state = planner.plan(problem, state, generator=torch.Generator().manual_seed(1))
        state = planner.shift(state, planner.receding_horizon)
        plans.append(found.actions)
    assert torch.equal(*plans)


def test_after_the_deadline_nothing_is_searched_and_the_arm_rests(point):
    late = plan(point, torch.tensor([[0.05] * 7]), deadline=-math.inf)
    assert late.trace.shape == (1, 0)
    assert (late.actions == 0).all()
    assert late.energy.isinf().all()


def test_a_deadline_that_no_iteration_fits_is_overrun_ever_more_seldom(point, clock):

    class Slow(point.World):
        def rollout(self, *context):
            clock.sleep(0.05)
            return super().rollout(*context)

    planner = VJEPA2AC(SMALL, -WIDE, WIDE)
    problem, state = point.problem(torch.zeros(1, 7), Slow(), metric="l1"), planner.init(1)
    tried = []
    for number in range(12):
        committed = clock.time
        _, state = planner.plan(
            problem, state, generator=torch.Generator(), deadline=committed + 0.04
        )
        state = planner.shift(state, 1)
        tried += [number] * (clock.time > committed)
    assert tried == [0, 2, 5, 10]
    assert planner.init(1, state).pace == state.pace


def test_rotations_rest_within_their_bounds():
    with pytest.raises(ValueError, match="bounds around rest"):
        VJEPA2AC(SMALL, torch.full((7,), -0.05), torch.full((7,), -0.025))


def test_bounds_that_are_reversed_or_no_numbers_are_refused():
    for low, high in ((torch.zeros(7), -WIDE), (-WIDE, WIDE * torch.nan)):
        with pytest.raises(ValueError, match="finite bounds low <= high"):
            VJEPA2AC(SMALL, low, high)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"elites": 1}, r"elites\n.* or equal to 2"),
        ({"elites": 65}, "elites of at most samples"),
        ({"receding_horizon": 2}, "receding_horizon of at most horizon"),
        ({"box": 0.0}, r"box\n.*greater than 0"),
        ({"gripper_box": math.inf}, r"gripper_box\n.*finite number"),
        ({"momentum_mean": 7.0}, r"momentum_mean\n.* or equal to 1"),
        ({"gripper_threshold": math.nan}, r"gripper_threshold\n.*finite number"),
        ({"iterations": 0}, r"iterations\n.* or equal to 1"),
    ],
)
def test_settings_without_sense_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **settings)


def test_another_action_space_is_refused():
    with pytest.raises(ValueError, match="bounds of 7 actions"):
        VJEPA2AC(SMALL, -torch.ones(4), torch.ones(4))


def test_a_horizon_between_two_strides_is_refused(point):
    with pytest.raises(ValueError, match=r"multiple of the world's stride of 2 .* got 1"):
        plan(point, torch.zeros(1, 7), world=point.World(stride=2))
