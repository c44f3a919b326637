"""Energies over planes of held actions: the grid, and what is kept of the third axis."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worldmodel.agents.planner import Bounds
from worldmodel.diagnostics.landscape.axes import action_axes, ranges, third_points, told
from worldmodel.diagnostics.landscape.grid import held, panels, planes
from worldmodel.diagnostics.landscape.scene import published
from worldmodel.errors import UserError
from worldmodel.spec import ActionSpec

AXIS, THIRD = torch.tensor([-0.05, 0.0, 0.05]), torch.tensor([-0.04, 0.0, 0.04])
POSES = published().actions
OWN = ActionSpec(
    ("left", "lift", "idle", "grip"), (-1, 0, 2, -3), (1, 4, 2, 9), (0.5, 1, 2, -3), "absolute"
)


def axes_of(actions, dims=None):
    return action_axes(actions, Bounds.of(actions), dims)


def test_held_actions_span_both_planes_and_stay_the_same_for_the_horizon():
    over = planes(axes_of(POSES))
    actions = held(over, AXIS.expand(3, -1), THIRD.expand(3, -1), 4, torch.zeros(7))
    assert actions.shape == (len(over) * 27, 4, 7)
    assert torch.equal(actions, actions[:, :1].expand_as(actions))
    first, second = actions[:, 0].split(27)
    assert torch.equal(first[:, :3], torch.cartesian_prod(AXIS, AXIS, THIRD))
    assert torch.equal(second[:, [2, 0, 1]], torch.cartesian_prod(AXIS, AXIS, THIRD))
    assert not actions[..., 3:].any()


def test_the_third_axis_is_reduced_by_mean_and_by_minimum():
    over, thirds = planes(axes_of(POSES)), THIRD.expand(3, -1)
    x, y, z = held(over, AXIS.expand(3, -1), thirds, 1, torch.zeros(7))[:, 0, :3].T
    energy = x + 10 * y + 100 * (z - 0.04).abs()
    mean, low, *over_xz = panels({"E": energy}, over, len(AXIS), thirds)
    assert [mean.title, low.title] == ["E, mean over Δz", "E, min over Δz"]
    assert [panel.title for panel in over_xz] == ["E, mean over Δy", "E, min over Δy"]
    plane = (AXIS[:, None] + 10 * AXIS).numpy()  # x upright, y across
    torch.testing.assert_close(low.values, plane)
    torch.testing.assert_close(mean.values, plane + 4)
    assert (low.lowest_at == THIRD[-1].numpy()).all()
    assert (over_xz[0].lowest_at == THIRD[0].numpy()).all()
    upright, across = (100 * (AXIS - 0.04).abs())[:, None], AXIS  # z and x
    torch.testing.assert_close(over_xz[1].values, (upright + across - 0.4).numpy())


def test_other_dimensions_stay_at_rest_and_what_never_moves_is_passed_over():
    axes = axes_of(OWN)
    assert [(axis.dim, axis.label) for axis in axes] == [(0, "left"), (1, "lift"), (3, "grip")]
    (plane,) = planes(axes_of(OWN, [3, 0]))
    assert (plane.across.label, plane.upright.label, plane.down) == ("grip", "left", False)
    points = torch.tensor([[-3.0, 9.0], [-1.0, 1.0]])
    actions = held((plane,), points, points, 2, torch.tensor(OWN.rest))
    assert actions.shape == (4, 2, 4)
    assert torch.equal(actions[:, 0, [0, 3]], torch.cartesian_prod(points[1], points[0]))
    assert (actions[..., 1] == 1).all()
    assert (actions[..., 2] == 2).all()
    (panel,) = panels({"E": torch.arange(4.0)}, (plane,), 2, points)
    assert (panel.title, panel.lowest_at) == ("E", None)
    np.testing.assert_array_equal(panel.values, [[0, 1], [2, 3]])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_third_axis_goes_through_rest_and_keeps_within_the_bounds(place):
    axis = axes_of(OWN)[place]
    points = third_points(axis, 5)
    assert (len(points), float(points[0]), float(points[-1])) == (5, axis.low, axis.high)
    assert axis.rest in points.tolist()
    assert (points.diff() > 0).all()


def test_axes_of_their_own_ranges_are_widened_each_for_itself_and_others_alike():
    own = ranges(axes_of(OWN), [np.array([[0.0, 4.0, 21.0]])])
    np.testing.assert_allclose(own[:2], [[-1, 1], [0, 4]])
    assert own[2, 1] > 21
    assert own[2].mean() == 3
    np.testing.assert_allclose(ranges(axes_of(POSES), [np.zeros(3)]), [[-0.075, 0.075]] * 3)
    alike = ranges(axes_of(POSES), [np.array([0.2, 0, 0])])
    assert (alike == alike[0]).all()
    assert alike[0, 1] > 0.2


def test_places_are_told_in_cm_only_where_they_are_displacements():
    place = np.array([0.02, -0.5, 0.25])
    assert told(axes_of(OWN), place) == "left +0.02 lift -0.5 grip +0.25"
    assert told(axes_of(POSES, [0, 3, 6]), place) == "x +2.0 cm, roll -0.5 rad, gripper +0.25"
    labels = [axis.label for axis in axes_of(POSES, [0, 3, 6])]
    assert labels == ["Δx, cm per step", "Δroll, rad per step", "Δgripper, per step"]


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([0, 4], "dims among the actions 0 left, 1 lift, 2 idle, 3 grip, got 4"),
        ([0, 2], "got 2 idle, whose bounds are both 2"),
    ],
)
def test_dimensions_that_cannot_be_drawn_are_named(dims, message):
    with pytest.raises(UserError, match=message):
        axes_of(OWN, dims)


def test_a_search_over_one_dimension_asks_for_two():
    searched = Bounds.of(OWN).only([1])
    with pytest.raises(UserError, match="a planner that searches lift; choose two"):
        action_axes(OWN, searched, None)
    assert len(action_axes(OWN, searched, [0, 1])) == 2
