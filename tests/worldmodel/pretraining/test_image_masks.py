import numpy as np
import pytest
import torch

from worldmodel.pretraining.image_masks import ImageMask, ImageMasks

GRID = 14  # of ViT/16 at 224 pixels, as in the paper


def sampled(seed: int = 0, grid: int = GRID, images: int = 8, **settings: object) -> ImageMask:
    return ImageMasks(grid, **settings).sample(np.random.default_rng(seed), images)  # type: ignore[arg-type]


def box(ids: torch.Tensor, grid: int = GRID) -> tuple[int, int]:
    """Height and width of tokens that fill a rectangle."""
    rows, columns = ids // grid, ids % grid
    height, width = (int(part.max() - part.min()) + 1 for part in (rows, columns))
    assert len(ids.unique()) == height * width == len(ids)
    return height, width


def test_four_targets_are_blocks_within_the_ranges_of_the_paper() -> None:
    areas, ratios = [], []
    for seed in range(60):
        mask = sampled(seed)
        assert mask.target_ids.shape[:2] == (8, 4)
        sizes = {box(block) for image in mask.target_ids for block in image}
        ((height, width),) = sizes  # one size per batch
        areas.append(height * width / GRID**2)
        ratios.append(height / width)
    rounding = 0.04
    assert 0.15 - rounding < min(areas) < 0.16
    assert 0.19 < max(areas) < 0.2 + rounding
    assert 0.6 < min(ratios) < 0.9
    assert 1.3 < max(ratios) < 1.75


def test_the_context_is_a_large_block_without_any_target() -> None:
    sizes = []
    for seed in range(60):
        mask = sampled(seed)
        for seen, blocks in zip(mask.context_ids, mask.target_ids, strict=True):
            assert not set(seen.tolist()) & set(blocks.flatten().tolist())
            assert torch.equal(seen, seen.unique())  # sorted, none twice
        sizes.append(mask.context_ids.shape[1] / GRID**2)
    assert min(sizes) > 0.15
    assert max(sizes) < 0.85
    alone = sampled(targets=1, target_scale=(0.0, 0.0), context_scale=(0.85, 1.0))
    assert alone.context_ids.shape[1] >= 0.85 * GRID**2 - GRID


def test_images_of_a_batch_differ_in_where_their_blocks_lie() -> None:
    mask = sampled()
    assert len({tuple(blocks.flatten().tolist()) for blocks in mask.target_ids}) == 8


@pytest.mark.parametrize("grid", [2, 3, 4])
def test_a_small_grid_still_shows_and_hides_something(grid: int) -> None:
    for seed in range(50):
        mask = sampled(seed, grid=grid, targets=8)
        assert mask.context_ids.shape[1] >= 1
        assert mask.target_ids.shape[2] >= 1
        assert int(mask.target_ids.max()) < grid**2


def test_the_generator_decides() -> None:
    assert torch.equal(sampled(3).target_ids, sampled(3).target_ids)
    assert torch.equal(sampled(3).context_ids, sampled(3).context_ids)
    assert not torch.equal(sampled(3).target_ids, sampled(4).target_ids)


def test_a_range_that_ends_below_where_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="target_scale from less to more"):
        sampled(target_scale=(0.3, 0.2))
