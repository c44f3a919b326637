"""What a dataset says of itself, what its numbers say, and what a user states of it."""

from __future__ import annotations

import numpy as np
import pytest

from worldmodel.data.arrays import ArrayDataset
from worldmodel.data.recording import Recording
from worldmodel.data.specification import data_spec
from worldmodel.spec import SpecChanges

FRAMES = np.zeros((4, 8, 8, 3), np.uint8)
TARGETS = np.array([[50.0, -1.0], [450.0, 1.0], [100.0, 3.0]])  # none after the last frame


def dataset(actions: np.ndarray = TARGETS, **how: object) -> ArrayDataset:
    return ArrayDataset.of([Recording(FRAMES, actions)] * 2, **how)


@pytest.mark.parametrize(
    ("kind", "rest"), [(None, (200, 0)), ("absolute", (200, 1)), ("torque", (200, 0))]
)
def test_actions_far_from_zero_rest_at_their_mean(kind, rest):
    actions = data_spec(dataset(), SpecChanges(action_kind=kind)).actions
    assert actions.rest == pytest.approx(rest)
    assert (actions.low, actions.high) == ((50, -1), (450, 3))


def test_a_rest_that_is_stated_is_kept():
    told = SpecChanges(action_kind="absolute", rest=(60, 2))
    assert data_spec(dataset(), told).actions.rest == (60, 2)


def test_a_dimension_that_never_moves_rests_where_it_is():
    still = data_spec(dataset(np.full((3, 1), 0.1))).actions
    assert still.low == still.rest == still.high


def test_a_rate_that_nobody_states_is_none():
    assert data_spec(dataset()).rate is None
    assert data_spec(dataset(), SpecChanges(rate=7)).rate == 7
    assert data_spec(dataset(fps=5)).rate == pytest.approx(5)
