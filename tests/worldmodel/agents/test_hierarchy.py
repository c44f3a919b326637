"""Two time scales over a vector world: what the low level is told, and who cannot have them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from worldmodel.agents import hierarchy as levels
from worldmodel.agents.planner import make_planner
from worldmodel.agents.policies import planning_agent
from worldmodel.agents.task import TaskConfig
from worldmodel.envs import ACTION_HIGH
from worldmodel.errors import UserError
from worldmodel.planners import CEMConfig, HierarchicalConfig, RetrievalConfig
from worldmodel.predictors.vector import VectorPredictor
from worldmodel.predictors.vector_world import VectorWorld

FAST = CEMConfig(samples=8, iterations=2, horizon=4, elites=3, proposals=2, active_dims=(0, 1, 2))
SLOW = replace(FAST, horizon=2, receding_horizon=1, active_dims=tuple(range(6)))
PLANNERS = [
    HierarchicalConfig(high_level=SLOW, low_level=FAST, near=-99.0),
    RetrievalConfig(low_level=FAST, links=4, near=-99.0),
]
TASK = TaskConfig(name="push", energy="value", prior=True)


def first_plan(agent):
    torch.manual_seed(3)
    goal, frame = torch.randint(0, 255, (2, 2, 64, 64, 3), dtype=torch.uint8)
    agent.reset(goal)
    action = agent.act(frame, torch.zeros(2, 7))
    return action, agent.records[0].plan


@pytest.mark.parametrize("planner", PLANNERS)
def test_plans_are_those_of_the_fast_level_within_bounds(tiny_world, planner, arm_bounds):
    action, plan = first_plan(planning_agent(tiny_world, TASK, planner, arm_bounds))
    high = torch.from_numpy(ACTION_HIGH)
    assert bool((action.abs() <= high).all())
    assert plan.actions.shape == (2, FAST.horizon, 7)
    assert not plan.actions[..., 3:].any()
    assert set(plan.breakdown) == {"goal", "world"}
    assert plan.subgoals.latents.shape[2:] == (1, tiny_world.predictor.memory.latents.shape[1])


@pytest.mark.parametrize("planner", PLANNERS)
def test_a_batch_decides_as_its_episodes_would_alone(tiny_world, planner, arm_bounds):
    agent = planning_agent(tiny_world, TASK, planner, arm_bounds)
    torch.manual_seed(3)
    goal, frame = torch.randint(0, 255, (2, 2, 64, 64, 3), dtype=torch.uint8)
    together, _ = first_plan(agent)
    for b in range(2):
        agent.reset(goal[b : b + 1])
        alone = agent.act(frame[b : b + 1], torch.zeros(1, 7))
        torch.testing.assert_close(alone[0], together[b])


@pytest.mark.parametrize("goal_proprio", [False, True])
def test_sub_goals_count_with_the_arm_and_the_goal_as_the_task_says(tiny_world, goal_proprio):
    asked = []

    def pursuit(latents, with_proprio=None):
        asked.append(with_proprio.tolist())

    planner = levels.two_levels(tiny_world, PLANNERS[0], None, pursuit, goal_proprio=goal_proprio)
    planner._towards(torch.zeros(2, 1, 3), torch.tensor([True, False]))
    assert asked == [[goal_proprio, True]]


def test_sub_goals_are_pursued_by_the_energy_that_the_planner_names(tiny_world, arm_bounds):
    task = replace(TASK, world_energy=(), prior=False)
    found = {}
    for towards in ("value", "latent"):
        agent = planning_agent(tiny_world, task, replace(PLANNERS[1], towards=towards), arm_bounds)
        _, found[towards] = first_plan(agent)
    assert torch.equal(found["value"].subgoals.latents, found["latent"].subgoals.latents)
    imagined = found["latent"].breakdown["goal"]
    assert not torch.equal(imagined, found["value"].breakdown["goal"])
    assert bool((imagined >= 0).all())


def test_a_world_without_macros_or_memory_says_so(tiny_world, arm_bounds):
    torch.manual_seed(0)
    bare = VectorWorld(tiny_world.encoder, VectorPredictor(tiny_world.predictor.config))
    for planner, lacks in zip(PLANNERS, ("macro-actions", "remembers moments"), strict=True):
        with pytest.raises(UserError, match=lacks):
            make_planner(bare, TASK, planner, *arm_bounds)


def test_a_world_of_another_kind_is_refused(tiny_world, arm_bounds):
    class Plain:
        image_size, stride = tiny_world.image_size, tiny_world.stride
        encode, rollout = tiny_world.encode, tiny_world.rollout

    task = TaskConfig(name="reach", world_energy=())
    with pytest.raises(UserError, match="predictor=vector"):
        make_planner(Plain(), task, replace(PLANNERS[0], towards="latent"), *arm_bounds)
