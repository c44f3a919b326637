"""Units stop at the networks' door, and angles do not jump."""

from __future__ import annotations

import math

import torch

from worldmodel.nn.pose import compose
from worldmodel.nn.standardisation import ActionScaling, StateFeatures, imagined_states


def test_scaled_actions_come_back_and_unmoved_dimensions_stay_zero() -> None:
    actions = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [0.02, 0.5, 0.0]
    )
    scaling = ActionScaling(3)
    scaling.fit(actions)
    scaled = scaling(actions)
    torch.testing.assert_close(scaled[:, :2].square().mean(0), torch.ones(2))
    torch.testing.assert_close(scaling.inverse(scaled), actions)
    assert not scaling(torch.ones(1, 3))[0, 2]


def test_features_do_not_jump_where_roll_wraps() -> None:
    features = StateFeatures(7)
    before, after = torch.zeros(7), torch.zeros(7)
    before[3], after[3] = math.pi - 1e-4, -math.pi + 1e-4
    assert (features(before) - features(after)).abs().max() < 1e-3


def test_imagined_poses_are_composed_and_stay_within_what_was_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    seen = StateFeatures(7)
    states = torch.rand(50, 7, generator=generator)
    seen.fit(states)
    start = states[:2, None]
    actions = 0.4 * torch.randn(2, 3, 4, 7, generator=generator)
    path = imagined_states(start, actions, seen)
    assert path.shape == (2, 3, 5, 7)
    torch.testing.assert_close(path[:, :, 0], start.expand(-1, 3, -1))
    assert imagined_states(start, actions[:, :, :0], seen).shape == (2, 3, 1, 7)
    for step in range(4):
        free = compose(path[:, :, step], actions[:, :, step])
        inside = free[..., :3].clamp(seen.lowest[:3], seen.highest[:3])
        torch.testing.assert_close(path[:, :, step + 1, :3], inside)
        torch.testing.assert_close(path[:, :, step + 1, 3:], free[..., 3:])
    places = path[:, :, 1:, :3]
    assert ((places == seen.lowest[:3]) | (places == seen.highest[:3])).any()
    assert ((path[..., 6] == 0) | (path[..., 6] == 1)).any()


def test_other_states_are_added_to_or_held() -> None:
    seen = StateFeatures(4)
    start, actions = torch.zeros(1, 1, 4), torch.ones(1, 2, 3, 4)
    assert imagined_states(start, actions, seen)[0, 0, -1].tolist() == [3.0] * 4
    held = imagined_states(start, torch.ones(1, 2, 3, 2), seen)
    assert not held.any()
