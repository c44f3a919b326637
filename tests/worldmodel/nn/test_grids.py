"""Grids of tokens are read to a vector, whatever their side and cameras."""

from __future__ import annotations

import pytest
import torch

from worldmodel.nn.grids import GridReader


@pytest.mark.parametrize(("side", "cameras"), [(1, 1), (2, 1), (7, 1), (8, 2), (12, 1), (16, 3)])
def test_any_square_grid_is_read(side: int, cameras: int) -> None:
    tokens = cameras * side**2
    reader = GridReader(tokens, 6, 8, 16, 5, cameras)
    frames = torch.randn(3, 2, tokens, 6)
    assert reader(frames).shape == (3, 2, 5)
    assert torch.allclose(reader(frames)[1, 1], reader(frames[1, 1]), atol=1e-5)


def test_finer_grids_take_hardly_more_weights() -> None:
    weights = [
        sum(p.numel() for p in GridReader(side**2, 6, 8, 16, 5).parameters()) for side in (8, 16)
    ]
    assert weights[1] < 8 * weights[0]


def test_the_places_of_several_cameras_are_kept_apart() -> None:
    torch.manual_seed(0)
    reader = GridReader(32, 6, 8, 16, 5, cameras=2)
    one, other = torch.randn(2, 16, 6)
    assert not torch.allclose(reader(torch.cat([one, other])), reader(torch.cat([other, one])))
