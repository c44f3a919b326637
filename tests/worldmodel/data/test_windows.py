from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from worldmodel.data.windows import episode_split, window_starts
from worldmodel.errors import UserError

LENGTHS = np.array([10, 3, 7, 12])
EPISODES = SimpleNamespace(lengths=LENGTHS, starts=np.cumsum(LENGTHS) - LENGTHS)


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (4, 1), (3, 2), (4, 3)])
def test_windows_are_exactly_those_that_stay_in_one_episode(length, stride):
    owner = np.repeat(np.arange(4), LENGTHS)
    expected = [
        start
        for start in range(len(owner))
        if (last := start + (length - 1) * stride) < len(owner)
        and owner[start] == owner[last]
        and owner[start] in (0, 1, 3)
    ]
    starts = window_starts(EPISODES, [0, 1, 3], length, stride)
    assert starts.tolist() == expected
    assert starts.dtype == np.int64


def test_no_episode_long_enough_is_an_error():
    with pytest.raises(UserError, match=r"at least 13 frames .*at most 12"):
        window_starts(EPISODES, range(4), 13)


def test_the_split_is_a_partition_that_only_the_seed_decides():
    train, held_out = episode_split(50, holdout=0.1, seed=3)
    assert len(held_out) == 5
    assert sorted([*train, *held_out]) == list(range(50))
    assert np.array_equal(held_out, episode_split(50, holdout=0.1, seed=3)[1])
    assert not np.array_equal(held_out, episode_split(50, holdout=0.1, seed=4)[1])


@pytest.mark.parametrize("holdout", [0.0, 0.01, 0.99, 1.0])
def test_both_parts_have_an_episode(holdout):
    train, held_out = episode_split(4, holdout=holdout)
    assert len(train) >= 1
    assert len(held_out) >= 1


def test_one_episode_cannot_be_split():
    with pytest.raises(UserError, match="at least 2 episodes"):
        episode_split(1)
