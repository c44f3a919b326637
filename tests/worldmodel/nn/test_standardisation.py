"""Units stop at the networks' door, and angles do not jump."""

from __future__ import annotations

import math

import pytest
import torch

from worldmodel.nn.standardisation import POSE_ANGLES, ActionScaling, StateFeatures


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
    features = StateFeatures(7, POSE_ANGLES)
    before, after = torch.zeros(7), torch.zeros(7)
    before[3], after[3] = math.pi - 1e-4, -math.pi + 1e-4
    assert (features(before) - features(after)).abs().max() < 1e-3


def test_actions_are_scaled_around_rest_and_unmoved_dimensions_stay_there() -> None:
    actions = torch.tensor([[250.0, 3.0], [270.0, 3.0], [210.0, 3.0]])
    scaling = ActionScaling(2)
    scaling.fit(actions, rest=(256.0, 3.0))
    assert not scaling(torch.tensor([256.0, 9.0])).any()
    assert scaling.inverse(torch.tensor([0.0, 5.0])).tolist() == [256.0, 3.0]
    torch.testing.assert_close(scaling.inverse(scaling(actions)), actions)


def test_small_states_count_as_much_as_large_ones_and_still_ones_not_at_all() -> None:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(500, 3, generator=generator) * torch.tensor([0.01, 100.0, 0.0]) + 5.0
    features = StateFeatures(3)
    features.fit(states)
    seen = features(states)
    torch.testing.assert_close(seen.std(0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-3, rtol=0)
    assert not features(states + 7.0)[:, 2].any()
    torch.testing.assert_close(features.inverse(seen), states, atol=1e-3, rtol=1e-5)


def test_angles_come_back_in_their_places_and_half_a_turn_is_none() -> None:
    generator = torch.Generator().manual_seed(0)
    states = 3.0 * torch.rand(50, 4, generator=generator) - 1.5
    features = StateFeatures(4, angles=(0, 2), half_turn=(2,))
    features.fit(states, hidden=(3,))
    torch.testing.assert_close(features.inverse(features(states)), states, atol=1e-4, rtol=0)
    turned = states + torch.tensor([2 * math.pi, 0.0, math.pi, 0.0])
    torch.testing.assert_close(features(turned), features(states), atol=1e-4, rtol=0)
    hidden = [
        place for place, shown in zip(features.places, features.visible, strict=True) if not shown
    ]
    assert hidden == [3]


@pytest.mark.filterwarnings("error")
def test_no_states_have_no_features() -> None:
    features = StateFeatures(0)
    features.fit(torch.zeros(5, 0))
    assert features(torch.zeros(2, 0)).shape == (2, 0)
