"""A glimpse reads the nine tokens around a place, wherever in the grid that is."""

from __future__ import annotations

import pytest
import torch

from worldmodel.nn.glimpses import GlimpseReader, nearby, within


@pytest.mark.parametrize(("cell", "middle"), [((2, 3), (2, 3)), ((0, 4), (1, 3)), ((4, 4), (3, 3))])
def test_the_nine_tokens_around_a_place(cell: tuple[int, int], middle: tuple[int, int]) -> None:
    side = 5
    grid = torch.arange(float(side**2)).view(1, -1, 1)
    place = torch.tensor([cell]) * 2 / (side - 1) - 1
    rows = [side * (middle[0] + down) for down in (-1, 0, 1)]
    expected = [row + middle[1] + across for row in rows for across in (-1, 0, 1)]
    assert nearby(grid, place)[0].tolist() == expected


def test_it_is_told_where_in_the_middle_token_it_looks() -> None:
    places = torch.tensor([[0.1, -0.1], [-1.0, 1.0]])  # of five cells, half a unit apart
    told = torch.tensor([[0.1, -0.1, 0.2, -0.2], [-1.0, 1.0, -1.0, 1.0]])
    assert torch.allclose(within(places, 5), told, atol=1e-6)


@torch.no_grad()
def test_its_numbers_vary_as_much_as_one_place() -> None:
    torch.manual_seed(0)
    reader, tokens, place = GlimpseReader(3, 8, 4), torch.randn(500, 27), torch.randn(500, 4)
    reader.fit(tokens, place)
    read = reader(tokens, place)
    assert float(read.var(0).sum()) == pytest.approx(2.0, abs=1e-3)
    assert float(read.mean(0).abs().max()) < 1e-4
