"""The plane of positions puts the arm, and only the arm, where its point is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worldmodel import envs
from worldmodel.diagnostics.landscape.positions import energy_panels, true_steps
from worldmodel.envs.tabletop.environment import WORKSPACE
from worldmodel.errors import UserError
from worldmodel.planners import LatentDistance

IMAGES = (np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 200, np.uint8))
STATE = np.array([0.5, 0.1, 0.2, 3.1, 0.0, 1.5, 1.0], np.float32)


class Told:
    """A world whose latents are the state they are told, and of images their brightness."""

    def encode(self, frames):
        return (frames.float().mean((-3, -2, -1)) / 200)[..., None, None].expand(-1, -1, 1, 7)

    def project(self, latents, look):
        return latents

    def grounded(self, latents, states):
        return states.unsqueeze(-2)


class Place:
    """The state itself as an energy: which of its numbers is where in the plane."""

    def __init__(self, index):
        self.index = index

    def __call__(self, trajectory):
        return trajectory.latents[:, :, -1, 0, self.index]


def test_x_varies_over_rows_y_over_columns_and_all_else_is_the_state_at_the_height():
    energies = {str(i): lambda goal, i=i: Place(i) for i in range(7)}
    found = energy_panels(Told(), energies, IMAGES, STATE, WORKSPACE, 0.03, points=4)
    x, y, panels = *found["0"][:2], {name: panel.energy for name, panel in found.items()}
    np.testing.assert_allclose(x[[0, -1]], WORKSPACE[:, 0], rtol=1e-6)
    np.testing.assert_allclose(y[[0, -1]], WORKSPACE[:, 1], rtol=1e-6)
    np.testing.assert_allclose(panels["0"], np.repeat(x[:, None], 4, 1))
    np.testing.assert_allclose(panels["1"], np.repeat(y[None], 4, 0))
    np.testing.assert_allclose(panels["2"], 0.03)
    for i in range(3, 7):
        np.testing.assert_allclose(panels[str(i)], STATE[i])


def test_energies_are_towards_the_goal_image():
    seen = []
    energies = {"latent": lambda goal: seen.append(goal) or LatentDistance(goal)}
    energy_panels(Told(), energies, IMAGES, STATE, WORKSPACE, 0.03, points=2)
    assert torch.equal(seen[0], torch.ones(1, 1, 7))


def test_a_world_that_reads_the_arm_off_images_only_is_refused_with_the_reason():
    class Pictures:
        encode = Told.encode

    with pytest.raises(UserError, match="plane=actions"):
        energy_panels(Pictures(), {}, IMAGES, STATE, WORKSPACE, 0.03, points=2)


def test_true_steps_are_fewest_behind_the_object_and_unknown_within_it():
    env = envs.make("push", 64)
    env.reset(seed=0)
    env.place_object(np.array([0.52, 0.0, 0.025]), 0.0)
    env._target = np.array([0.64, 0.0])  # ahead in x; behind is at smaller x
    env.goal_object = np.array([0.64, 0.0, 0.025])
    before = env.snapshot().physics
    panel = true_steps(env, 0.03, points=5)
    np.testing.assert_array_equal(env.snapshot().physics, before)
    middle = panel.energy[:, 2]
    assert np.isnan(middle[2])
    assert middle[1] < middle[3:].min()
    env.close()
