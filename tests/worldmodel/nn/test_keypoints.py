"""Points are places in the picture: they follow what moves, and blots at them draw it."""

from __future__ import annotations

import pytest
import torch

from worldmodel.nn.keypoints import KeypointDecoder, KeypointReader


@pytest.mark.parametrize(("side", "cameras", "told"), [(2, 1, 3), (7, 1, 0), (8, 2, 3)])
def test_any_square_grid_is_found_in_and_drawn(side: int, cameras: int, told: int) -> None:
    tokens = cameras * side**2
    reader = KeypointReader(tokens, 6, 8, 3, cameras)
    decoder = KeypointDecoder(3, told, tokens, 6, 8, cameras)
    frames = torch.randn(4, 2, tokens, 6)
    points = reader(frames)
    assert points.shape == (4, 2, cameras * 3 * 2)
    assert points.abs().max() <= 1
    assert torch.allclose(points[1, 1], reader(frames[1, 1]), atol=1e-5)
    assert decoder(points[0], torch.randn(2, told)).shape == (2, tokens, 6)


def test_what_moves_by_a_cell_moves_its_points_by_a_cell() -> None:
    torch.manual_seed(0)
    side = 16
    reader = KeypointReader(side**2, 4, 8, 3)
    with torch.no_grad():
        reader.maps.weight *= 100.0  # each map looks at one place
    grid = torch.zeros(side, side, 4)
    grid[5, 6] = 10 * torch.randn(4)
    moved = grid.roll((2, 3), (0, 1))
    one, other = (reader(shown.flatten(0, 1)).view(3, 2) for shown in (grid, moved))
    cell = 2 / (side - 1)
    found = ((other - one) / cell).round()
    assert [2.0, 3.0] in found.tolist()


def test_cameras_have_points_of_their_own() -> None:
    torch.manual_seed(0)
    reader = KeypointReader(2 * 16, 6, 8, 2, cameras=2)
    one, other = torch.randn(2, 16, 6)
    here, there = reader(torch.cat([one, other])), reader(torch.cat([one, one]))
    assert torch.equal(here[:4], there[:4])
    assert not torch.allclose(here[4:], there[4:])
