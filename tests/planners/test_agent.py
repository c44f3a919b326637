from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from worldmodel.planners import (
    CEM,
    Agent,
    CEMConfig,
    LatentDistance,
    Objective,
    TotalEnergy,
    compiled,
)

CONFIG = CEMConfig(
    samples=48, iterations=3, horizon=4, elites=6, receding_horizon=2, correlation=0.0
)
GOALS = torch.tensor([[0.2, -0.1, 0.1], [-0.15, 0.2, 0.0]])


def image(positions):
    """One-pixel frames ``[B, 1, 1, 3]`` of points within ±0.5."""
    return ((positions + 0.5) * 255).round().to(torch.uint8)[:, None, None]


@pytest.fixture
def camera_world(point):
    class CameraWorld(point.World):
        def encode(self, frames):
            self.encoded.append(tuple(frames.shape))
            return frames[:, :, 0].float() / 255 - 0.5

    return CameraWorld


def objective(goal_latents):
    return Objective(TotalEnergy(LatentDistance(goal_latents, "l2")))


def make_agent(world, point, **options):
    config = options.pop("config", CONFIG)
    factory = options.pop("objective", objective)
    return Agent(world, CEM(config, *point.bounds()), factory, **options)


def drive(agent, goals, steps, seed=0):
    """Reset and act; returns actions ``[B, steps, A]`` and the last positions."""
    agent.reset(image(goals), seed=seed)
    positions, actions = torch.zeros(len(goals), 3), []
    for _ in range(steps):
        actions.append(agent.act(image(positions), positions))
        positions = positions + actions[-1]
    return torch.stack(actions, 1), positions


def test_reaches_the_goals(camera_world, point):
    _, positions = drive(make_agent(camera_world(), point), GOALS, 16)
    torch.testing.assert_close(positions, GOALS, atol=0.015, rtol=0)


def test_a_batch_decides_as_separate_agents_do(camera_world, point):
    together, _ = drive(make_agent(camera_world(), point), GOALS, 6, seed=5)
    for i, goal in enumerate(GOALS):
        alone, _ = drive(make_agent(camera_world(), point), goal[None], 6, seed=5)
        torch.testing.assert_close(together[i], alone[0])


def test_nothing_survives_a_reset(camera_world, point):
    agent = make_agent(camera_world(), point, context=2)
    first, _ = drive(agent, GOALS, 5)
    drive(agent, -GOALS[:1], 3, seed=8)
    again, _ = drive(agent, GOALS, 5)
    assert torch.equal(first, again)
    assert len(agent.records) == 3


def test_the_seed_of_a_reset_matters(camera_world, point):
    agent = make_agent(camera_world(), point)
    assert not torch.equal(drive(agent, GOALS, 2, seed=0)[0], drive(agent, GOALS, 2, seed=1)[0])


def test_goal_is_encoded_once_and_frames_only_to_plan(camera_world, point):
    world = camera_world()
    drive(make_agent(world, point), GOALS, 6)
    assert len(world.encoded) == 1 + 3  # receding_horizon=2: a plan every other step


def test_what_is_seen_is_held_against_the_goal_and_goals_against_the_first_frame(
    camera_world, point
):
    compared = []

    class Comparing(camera_world):
        def project(self, latents, look):
            compared.append((latents[:, 0, 0], look[:, 0]))
            return latents

    drive(make_agent(Comparing(), point), GOALS, 4)
    goals, start, *later = compared
    first = image(torch.zeros(2, 3))[:, 0, 0] / 255 - 0.5
    shown = image(GOALS)[:, 0, 0] / 255 - 0.5
    for found, expected in zip((*goals, *start), (shown, first, first, shown), strict=True):
        torch.testing.assert_close(found, expected)
    assert len(later) == 1  # a goal is compared once
    torch.testing.assert_close(later[0][1], shown)
    assert not torch.equal(later[0][0], first)


def test_plans_are_executed_for_the_set_number_of_steps(camera_world, point):
    agent = make_agent(camera_world(), point)
    actions, _ = drive(agent, GOALS, 4)
    assert [record.step for record in agent.records] == [0, 2]
    for turn, record in enumerate(agent.records):
        torch.testing.assert_close(record.plan.actions[:, :2], actions[:, 2 * turn : 2 * turn + 2])


def test_each_plan_starts_from_the_rest_of_the_last(camera_world, point):
    world = camera_world()
    agent = make_agent(world, point)
    drive(agent, GOALS, 4)
    first, second = agent.records
    warm = world.candidates[CONFIG.iterations][:, -1]
    torch.testing.assert_close(warm[:, :2], first.plan.actions[:, 2:])
    # Positions are seen in steps of 1/255, so a kept plan may look a little worse than before.
    assert (second.plan.energy <= first.plan.energy + 1e-3).all()


def test_context_repeats_the_first_frame_and_then_slides(camera_world, point):
    seen = []

    class Watching(camera_world):
        def rollout(self, latents, states, actions):
            seen.append((latents[0, :, 0, 0].tolist(), states[0, :, 0].tolist()))
            return super().rollout(latents, states, actions)

    config = CEMConfig(
        samples=4, iterations=1, horizon=2, elites=2, receding_horizon=2, proposals=0
    )
    agent = make_agent(Watching(), point, config=config, context=3)
    agent.reset(image(GOALS))
    for step in range(5):
        at = torch.full((2, 3), step / 10)
        agent.act(image(at), at)
    for (latents, states), steps in zip(seen, ([0, 0, 0], [0, 1, 2], [2, 3, 4]), strict=True):
        assert states == pytest.approx([s / 10 for s in steps])
        assert latents == pytest.approx([s / 10 for s in steps], abs=1 / 255)


def test_subgoals_follow_one_another(camera_world, point):
    world, asked = camera_world(), []

    def recording(goal_latents):
        asked.append(goal_latents[0, 0].tolist())
        return objective(goal_latents)

    agent = make_agent(world, point, objective=recording, stage_steps=(4, 2))
    stages = torch.stack([0.1 * torch.ones(1, 3), -0.1 * torch.ones(1, 3), torch.zeros(1, 3)], 1)
    agent.reset(torch.stack([image(stages[:, g]) for g in range(3)], 1))
    for step in range(10):
        agent.act(image(torch.zeros(1, 3)), torch.zeros(1, 3))
        expected = 1 if step < 4 else 2 if step < 6 else 3
        assert len(asked) == expected
    for goal, stage in zip(asked, stages[0], strict=True):
        assert goal == pytest.approx(stage.tolist(), abs=1 / 255)
    assert world.encoded[0][:2] == (1, 3)


def test_records_time_and_energy_of_every_plan(camera_world, point, clock):
    clock.reading = 1e-3
    agent = make_agent(camera_world(), point, profile=True)
    drive(agent, GOALS, 4)
    for record in agent.records:
        assert record.total_ms >= record.encode_ms + record.plan_ms - 1e-6
        assert record.plan_ms > 0
        assert record.plan.energy.shape == (2,)
        assert sum(record.plan.timings.values()) * 1e3 <= record.plan_ms
    assert agent.records[-1].plan.energy.sum() < agent.records[0].plan.energy.sum()


def test_the_budget_becomes_a_deadline_from_the_look_on(camera_world, point, clock):
    class Slow(camera_world):
        def encode(self, frames):
            clock.sleep(1.0)
            return super().encode(frames)

        def rollout(self, *context):
            clock.sleep(1.0)
            return super().rollout(*context)

    config = CEMConfig(samples=48, iterations=500, horizon=4, elites=6)
    agent = make_agent(Slow(), point, config=config, budget_s=3.5)
    drive(agent, GOALS, 1)
    assert agent.records[0].plan.trace.shape == (2, 2)
    assert agent.records[0].total_ms == 3e3
    agent = make_agent(camera_world(), point, config=config, budget_s=0.0)
    clock.reading = 1e-3
    drive(agent, GOALS, 1)
    assert agent.records[0].plan.trace.shape == (2, 0)


def test_a_new_episode_knows_how_long_plans_take(camera_world, point, clock):
    class Slow(camera_world):
        def rollout(self, *context):
            clock.sleep(0.05)
            return super().rollout(*context)

    agent = make_agent(Slow(), point, budget_s=0.04)
    for goals, rounds in [(GOALS, 1), (GOALS, 0), (GOALS[:1], 1)]:  # of other batches it knows none
        drive(agent, goals, 1)
        assert agent.records[0].plan.trace.shape[1] == rounds


def test_a_plan_without_a_limit_tells_the_next_how_long_it_took(camera_world, point, clock):
    class Slow(camera_world):
        def rollout(self, *context):
            clock.sleep(0.05)
            return super().rollout(*context)

    agent = make_agent(Slow(), point, budget_s=0.04)
    agent.reset(image(GOALS))
    agent.look(image(torch.zeros(2, 3)), torch.zeros(2, 3))
    assert agent.plan(0, limited=False).trace.shape == (2, CONFIG.iterations)
    agent.look(image(torch.zeros(2, 3)), torch.zeros(2, 3))
    assert agent.plan(2).trace.shape == (2, 0)


def test_a_plan_that_compiles_has_no_limit(camera_world, point, monkeypatch):
    called = []

    def noted(name):
        def call(*args):
            called.append(name)
            return getattr(compiled, name)(*args)

        return lambda world: call

    monkeypatch.setattr("worldmodel.planners.problem.compiled_rollout", noted("_rollout"))
    monkeypatch.setattr("worldmodel.planners.problem.compiled_judge", noted("_judge"))
    agent = make_agent(camera_world(), point, compiled=True, budget_s=0.0)
    for rounds in ([CONFIG.iterations, 0], [0, 0]):  # the second episode finds all compiled
        drive(agent, GOALS, 2 * CONFIG.receding_horizon)
        assert [record.plan.trace.shape[1] for record in agent.records] == rounds
    assert called == ["_rollout", "_judge"] * CONFIG.iterations


def test_a_plan_that_fails_leaves_the_last_one_where_it_was(camera_world, point):
    class Blinded(camera_world):
        blind = False

        def rollout(self, latents, states, actions):
            return super().rollout(latents * (torch.nan if self.blind else 1), states, actions)

    shifts = []

    class Noted(CEM):
        def shift(self, state, steps):
            shifts.append((state, steps))
            return super().shift(state, steps)

    world = Blinded()
    agent = Agent(world, Noted(CONFIG, *point.bounds()), objective)
    drive(agent, GOALS, CONFIG.receding_horizon)
    for world.blind in (True, False):
        with pytest.raises(FloatingPointError) if world.blind else nullcontext():
            agent.act(image(GOALS), GOALS)
    (failed, one), (again, other) = shifts
    assert failed is again
    assert one == other == CONFIG.receding_horizon


def test_actions_are_float32_on_the_cpu_and_within_bounds(camera_world, point):
    actions, _ = drive(make_agent(camera_world(), point), 10 * GOALS, 2)
    assert actions.dtype == torch.float32
    assert actions.device.type == "cpu"
    assert actions.abs().max() <= 0.05


def test_acting_without_a_goal_is_refused(camera_world, point):
    agent = make_agent(camera_world(), point)
    with pytest.raises(RuntimeError, match="reset"):
        agent.act(image(GOALS), GOALS)


def test_goals_must_match_stages_and_frames_must_match_goals(camera_world, point):
    agent = make_agent(camera_world(), point, stage_steps=(3,))
    with pytest.raises(ValueError, match=r"Expected 2 goal image\(s\) per episode"):
        agent.reset(image(GOALS))
    agent = make_agent(camera_world(), point)
    agent.reset(image(GOALS))
    with pytest.raises(ValueError, match="frames of 2 episodes"):
        agent.act(image(GOALS[:1]), GOALS[:1])
