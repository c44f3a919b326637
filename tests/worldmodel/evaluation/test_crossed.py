"""Half of the imagination is true, the other half is the planner's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worldmodel import envs
from worldmodel.agents.agent import Recipe
from worldmodel.agents.task import TaskConfig
from worldmodel.dynamics import probe
from worldmodel.evaluation import crossed
from worldmodel.evaluation.crossed import (
    RenderedWorld,
    StateEnergy,
    object_probe,
    true_cost,
    true_dynamics,
)
from worldmodel.evaluation.simulator import true_futures
from worldmodel.planners import CEMConfig
from worldmodel.predictors.imagination import Imagined

TASK = TaskConfig(name="push", energy="value", prior=True)
PLANNER = CEMConfig(samples=6, iterations=2, horizon=4, elites=3, proposals=2)
STRIDE = 2
SEEN = torch.zeros(1, 1, 1, 3), torch.zeros(1, 1, 7)


@pytest.fixture
def env():
    """The gripper is beside the cube, so that what is done to it matters."""
    env = envs.make("push", 64)
    env.reset(seed=0)
    env.place_arm(env.object_position() + np.array([-0.06, 0.0, 0.01]), 1.0)
    yield env
    env.close()


@pytest.fixture
def recipe(tiny_world, arm_spec):
    return Recipe(tiny_world, TASK, PLANNER, arm_spec)


def pushes(samples: int = 4) -> torch.Tensor:
    actions = torch.zeros(1, samples, 4, 7)
    actions[0, :, :, 0] = torch.linspace(-0.02, 0.04, samples)[:, None]
    actions[0, :, :, 1] = 0.01 * torch.arange(4)
    return actions


def carried_out(env, actions):
    """Poses of the tool, positions of the object and images along every candidate, in turn."""
    start = env.snapshot()
    for candidate in actions[0].double().numpy():
        env.restore(start)
        for step, action in enumerate(candidate):
            env.advance(action)
            if step % STRIDE == 1:
                yield env.tool_pose(), env.object_position(), env.camera_image()
    env.restore(start)


def read_exactly(latents):
    return latents[..., 0, :]


class ExactWorld:
    """Its latents are positions of the object, and its imagination is right."""

    stride = STRIDE

    def __init__(self, env):
        self.env = env

    def rollout(self, latents, states, actions):
        look = lambda: np.concatenate([self.env.tool_pose(), self.env.object_position()])  # noqa: E731
        seen = torch.from_numpy(np.stack(true_futures(self.env, actions, STRIDE, look)))
        tool, thing = seen.view(1, actions.shape[1], -1, 10).split([7, 3], -1)
        return Imagined(thing.unsqueeze(-2), tool, actions, latents, states)


def test_rendered_futures_are_what_the_camera_shows_when_the_actions_are_carried_out(
    env, tiny_world
):
    actions, before = pushes(), env.snapshot()
    imagined = RenderedWorld(env, tiny_world).rollout(*SEEN, actions)
    np.testing.assert_array_equal(env.snapshot().physics, before.physics)
    np.testing.assert_array_equal(env.snapshot().command, before.command)
    poses, things, images = zip(*carried_out(env, actions), strict=True)
    assert np.ptp(np.stack(things), axis=0).max() > 0.03
    encoded = [
        tiny_world.encode(torch.from_numpy(x)[None, None]) for x in (env.goal_image, *images)
    ]
    one_by_one = [tiny_world.project(image, encoded[0][:, 0]) for image in encoded[1:]]
    seen = torch.cat(one_by_one).view_as(imagined.latents)
    truth = torch.from_numpy(np.stack(poses)).float().view_as(imagined.states)
    torch.testing.assert_close(imagined.states, truth)
    torch.testing.assert_close(imagined.latents, tiny_world.grounded(seen, truth))
    assert seen.std((0, 1, 2)).max() > 0


def test_all_frames_of_a_population_are_encoded_at_once(env, tiny_world, monkeypatch):
    shapes, encode = [], tiny_world.encode
    monkeypatch.setattr(
        type(tiny_world), "encode", lambda self, x: shapes.append(tuple(x.shape)) or encode(x)
    )
    RenderedWorld(env, tiny_world).rollout(*SEEN, pushes())
    assert sorted(shapes) == [(1, 1, 64, 64, 3), (1, 4 * 2, 64, 64, 3)]


def test_exact_latents_are_ranked_as_the_true_cost_ranks_them(env):
    actions = pushes(7)
    imagined = ExactWorld(env).rollout(None, None, actions)
    costs = []
    for tool, thing, _ in carried_out(env, actions):
        costs.append(float(env.cost_at(tool, thing)))
    costs = np.array(costs).reshape(7, 2)
    to_come = costs.mean(1) + costs[:, -1]
    assert np.ptp(to_come) > 0.01
    env.advance(np.full(7, 0.03))  # the state of the simulator is not what is judged
    energy = StateEnergy(env, read_exactly)(imagined)
    assert energy.shape == (1, 7)
    assert energy[0].argsort().tolist() == to_come.argsort().tolist()
    np.testing.assert_allclose(energy[0], to_come / 0.04, rtol=1e-6)


def test_several_episodes_at_once_are_refused_with_the_reason(env, tiny_world):
    actions = pushes().expand(2, -1, -1, -1)
    with pytest.raises(ValueError, match=r"one episode.*got \[2, 4, 4, 7\].*single environment"):
        RenderedWorld(env, tiny_world).rollout(*SEEN, actions)
    two = Imagined(torch.zeros(2, 4, 2, 1, 3), torch.zeros(2, 4, 2, 7), actions, *SEEN)
    with pytest.raises(ValueError, match="one episode"):
        StateEnergy(env, read_exactly)(two)


@pytest.mark.parametrize("name", ["true_dynamics", "true_cost"])
def test_what_is_not_replaced_stays_the_planners(env, tiny_world, recipe, monkeypatch, name):
    asked = []
    prior = type(tiny_world).prior
    monkeypatch.setattr(
        type(tiny_world),
        "prior",
        lambda self, *given, **how: asked.append(1) or prior(self, *given, **how),
    )
    if name == "true_dynamics":
        policy = true_dynamics(env, recipe)
    else:
        policy = true_cost(env, recipe, lambda latents: latents[..., 0, :3])
    observation = env.observe()
    image, state = (torch.from_numpy(observation[key])[None] for key in ("image", "state"))
    policy.reset(torch.from_numpy(observation["goal"])[None])
    before = env.snapshot().physics
    assert policy.act(image, state).shape == (1, 7)
    np.testing.assert_array_equal(env.snapshot().physics, before)
    terms = {"true_dynamics": {"goal"}, "true_cost": {"goal", "world"}}
    assert set(policy.records[0].plan.breakdown) == terms[name]
    assert asked


def test_the_probe_is_the_same_one_every_time_and_judged_on_other_episodes(tiny_world, monkeypatch):
    monkeypatch.setattr(probe, "_STEPS", 20)
    monkeypatch.setattr(crossed, "_LENGTH", 4)
    fitted, latents = [], torch.randn(5, 1, 26, generator=torch.Generator().manual_seed(0))
    fit = crossed.fit_probe
    monkeypatch.setattr(
        crossed, "fit_probe", lambda *given: fitted.append(given[2].tolist()) or fit(*given)
    )
    (one, error), (other, again) = (object_probe(tiny_world, "push", 3) for _ in range(2))
    assert fitted == [list(range(8))] * 2
    assert error == again > 0
    assert torch.equal(one(latents), other(latents))
