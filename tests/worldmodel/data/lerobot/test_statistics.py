from __future__ import annotations

import numpy as np
import pytest

from worldmodel.data.lerobot.statistics import frame_statistics, merged, vector_statistics

RNG = np.random.default_rng(0)


def test_merged_statistics_are_those_of_the_union():
    parts = [RNG.normal(loc=n, scale=n, size=(n, 3)) for n in (2, 5, 40)]
    each = [vector_statistics(part) for part in parts]
    together = merged({name: [s[name].tolist() for s in each] for name in each[0]})
    for name, value in vector_statistics(np.concatenate(parts)).items():
        assert together[name] == pytest.approx(value)


def test_channels_of_frames_are_in_unit_range_and_shaped_for_lerobot():
    frames = np.zeros((50, 8, 6, 3), np.uint8)
    frames[..., 1] = 255
    statistics = frame_statistics(frames)
    assert statistics["mean"].shape == (3, 1, 1)
    assert statistics["mean"].ravel().tolist() == [0, 1, 0]
    assert statistics["count"].tolist() == [10]
