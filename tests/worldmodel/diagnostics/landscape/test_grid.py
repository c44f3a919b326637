"""Energies over planes of held actions: the grid, and what is kept of the third axis."""

from __future__ import annotations

import torch

from worldmodel.diagnostics.landscape.grid import PLANES, held, panels

AXIS, THIRD = torch.tensor([-0.05, 0.0, 0.05]), torch.tensor([-0.04, 0.0, 0.04])


def test_held_actions_span_both_planes_and_stay_the_same_for_the_horizon():
    actions = held(AXIS, THIRD, horizon=4, width=7)
    assert actions.shape == (len(PLANES) * 27, 4, 7)
    assert torch.equal(actions, actions[:, :1].expand_as(actions))
    first, second = actions[:, 0].split(27)
    assert torch.equal(first[:, :3], torch.cartesian_prod(AXIS, AXIS, THIRD))
    assert torch.equal(second[:, [2, 0, 1]], torch.cartesian_prod(AXIS, AXIS, THIRD))
    assert not actions[..., 3:].any()


def test_the_third_axis_is_reduced_by_mean_and_by_minimum():
    x, y, z = held(AXIS, THIRD, horizon=1, width=7)[:, 0, :3].T
    energy = x + 10 * y + 100 * (z - 0.04).abs()
    mean, low, *over_xz = panels({"E": energy}, len(AXIS), THIRD)
    assert [mean.title, low.title] == ["E, mean over Δz", "E, min over Δz"]
    assert [panel.title for panel in over_xz] == ["E, mean over Δy", "E, min over Δy"]
    plane = (AXIS[:, None] + 10 * AXIS).numpy()  # x upright, y across
    torch.testing.assert_close(low.values, plane)
    torch.testing.assert_close(mean.values, plane + 4)
    assert (low.lowest_at == THIRD[-1].numpy()).all()
    assert (over_xz[0].lowest_at == THIRD[0].numpy()).all()
    upright, across = (100 * (AXIS - 0.04).abs())[:, None], AXIS  # z and x
    torch.testing.assert_close(over_xz[1].values, (upright + across - 0.4).numpy())
