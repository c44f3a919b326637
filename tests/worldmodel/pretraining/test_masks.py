import numpy as np
import pytest
import torch

from worldmodel.pretraining.masks import BlockMasks, Mask

GRID = (4, 8, 8)


def sampled(seed: int = 0, **settings: float) -> Mask:
    return BlockMasks(GRID, **({"hidden": 0.6} | settings)).sample(np.random.default_rng(seed))


@pytest.mark.parametrize("hidden", [0.01, 0.3, 0.5, 0.7, 0.99])
def test_exactly_the_requested_share_is_hidden_and_the_rest_is_context(hidden: float) -> None:
    for seed in range(20):
        mask = sampled(seed, hidden=hidden)
        assert len(mask.target_ids) == round(hidden * 256)
        both = torch.cat((mask.context_ids, mask.target_ids))
        assert torch.equal(both.sort().values, torch.arange(256))


def test_hidden_tokens_form_blocks() -> None:
    """A hidden token's neighbours are hidden far more often than by chance."""
    hidden = torch.zeros(256)
    hidden[sampled(hidden=0.5).target_ids] = 1
    frame = hidden.view(GRID)
    right = frame[:, :, :-1][frame[:, :, 1:] == 1].mean()
    assert right > 0.7


def test_full_duration_makes_tubes_and_short_ones_do_not() -> None:
    def same_through_time(duration: float) -> float:
        hidden = torch.zeros(256)
        hidden[sampled(hidden=0.5, duration=duration).target_ids] = 1
        frames = hidden.view(4, 64)
        return float((frames == frames[:1]).all(0).float().mean())

    assert same_through_time(1.0) > 0.9  # the last block may be cut
    assert same_through_time(0.25) < 0.6


def test_the_generator_decides() -> None:
    assert torch.equal(sampled(3).target_ids, sampled(3).target_ids)
    assert not torch.equal(sampled(3).target_ids, sampled(4).target_ids)


def test_hiding_nothing_or_all_is_refused() -> None:
    with pytest.raises(ValueError, match=r"hidden\n.* less than 1"):
        BlockMasks(GRID, hidden=1.5)
