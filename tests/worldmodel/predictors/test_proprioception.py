"""Poses are composed; whatever else a robot feels is predicted, and never held still."""

from __future__ import annotations

import pytest
import torch

from worldmodel.nn.pose import compose
from worldmodel.predictors.proprioception import StateLayout, imagined_states
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig

SMALL = {"tokens": 4, "token_width": 8, "width": 16, "depth": 1, "head_width": 16, "memory": 8}


def model(states: int, actions: int, **layout: object) -> VectorPredictor:
    torch.manual_seed(0)
    sizes = VectorPredictorConfig(
        state_width=states, action_width=actions, states=StateLayout(**layout), stride=1, **SMALL
    )
    return VectorPredictor(sizes)


def test_poses_are_composed_and_stay_within_what_was_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    arm = model(7, 7)
    assert arm.state_model is None
    seen = arm.state_features
    states = torch.rand(50, 7, generator=generator)
    seen.fit(states)
    start = states[:2, None]
    actions = 0.4 * torch.randn(2, 3, 4, 7, generator=generator)
    path = imagined_states(arm, start, actions).states
    assert path.shape == (2, 3, 5, 7)
    torch.testing.assert_close(path[:, :, 0], start.expand(-1, 3, -1))
    for step in range(4):
        free = compose(path[:, :, step], actions[:, :, step])
        inside = free[..., :3].clamp(seen.lowest[:3], seen.highest[:3])
        torch.testing.assert_close(path[:, :, step + 1, :3], inside)
        torch.testing.assert_close(path[:, :, step + 1, 3:], free[..., 3:])
    places = path[:, :, 1:, :3]
    assert ((places == seen.lowest[:3]) | (places == seen.highest[:3])).any()
    assert ((path[..., 6] == 0) | (path[..., 6] == 1)).any()


def test_seven_joint_angles_are_no_pose() -> None:
    joints = model(7, 7, composed=False, angles=(0, 1))
    assert joints.state_model is not None
    imagined = imagined_states(joints, torch.zeros(1, 1, 7), torch.ones(1, 2, 3, 7))
    assert imagined.states.shape == (1, 2, 4, 7)
    assert imagined.features.shape == (1, 2, 4, 9)
    assert (imagined.states[:, :, 1:] != imagined.states[:, :, :-1]).any(-1).all()


def test_a_robot_that_feels_nothing_is_imagined_all_the_same() -> None:
    blind = model(0, 3, composed=False)
    imagined = imagined_states(blind, torch.zeros(2, 1, 0), torch.ones(2, 5, 4, 3))
    assert imagined.states.shape == (2, 5, 5, 0)


def test_a_layout_that_such_states_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match="7 numbers to compose poses"):
        model(6, 7)
    with pytest.raises(ValueError, match="angles among 2 states"):
        model(2, 2, composed=False, angles=(2,))
