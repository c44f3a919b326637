import pytest
import torch

from worldmodel.nn.rope import rotate, rotation_table, token_positions


def scores(query: torch.Tensor, key: torch.Tensor, at: list[list[int]]) -> float:
    """Attention score of a query and a key at two (time, row, column) positions."""
    rotation = rotation_table(torch.tensor(at), query.numel())
    tokens = rotate(torch.stack((query, key))[None, None], rotation)[0, 0]
    return float(tokens[0] @ tokens[1])


def test_scores_depend_on_the_relative_position_alone() -> None:
    query, key = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    near = scores(query, key, [[0, 1, 2], [1, 3, 5]])
    assert scores(query, key, [[2, 4, 3], [3, 6, 6]]) == pytest.approx(near, abs=1e-5)
    assert scores(query, key, [[0, 1, 2], [1, 3, 6]]) != pytest.approx(near, abs=1e-3)


def test_each_axis_turns_its_own_third_and_the_rest_stays() -> None:
    x = torch.ones(1, 1, 3, 32)
    rotated = rotate(x, rotation_table(torch.eye(3, dtype=torch.long), 32))[0, 0]
    changed = (rotated - 1).abs() > 1e-6
    for axis in range(3):
        expected = torch.zeros(32, dtype=torch.bool)
        expected[10 * axis : 10 * axis + 10] = True
        assert torch.equal(changed[axis], expected)


def test_the_tiled_layout_of_meta_is_not_a_rotation() -> None:
    x, positions = torch.randn(1, 1, 1, 12), torch.tensor([[3, 1, 2]])
    kept = rotate(x, rotation_table(positions, 12)).norm()
    torch.testing.assert_close(kept, x.norm())
    assert rotate(x, rotation_table(positions, 12, tiled=True)).norm() != pytest.approx(
        float(x.norm()), rel=1e-4
    )


@pytest.mark.parametrize("tiled", [False, True])
def test_what_is_rotated_is_overwritten_only_where_that_is_allowed(tiled: bool) -> None:
    x, table = torch.randn(2, 3, 5, 12), rotation_table(torch.ones(5, 3), 12, tiled=tiled)
    before = x.clone()
    rotated = rotate(x, table)
    assert torch.equal(x, before)
    torch.testing.assert_close(rotate(x, table, overwrite=True), rotated)
    assert torch.equal(x, before) == tiled  # which needs what it rotates twice


def test_positions_run_in_raster_order() -> None:
    positions = token_positions(torch.tensor([0, 1, 4, 12, 23]), height=3, width=4)
    assert positions.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 2, 3]]


def test_a_head_too_narrow_for_three_axes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 6"):
        rotation_table(torch.zeros(1, 3), 4)
