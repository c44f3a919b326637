"""A large array is read from any place, by several threads, without all of it in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from worldmodel.data import npz
from worldmodel.data.npz import ArrayInZip


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_are_those_of_the_array_in_any_order(tmp_path, monkeypatch, save):
    monkeypatch.setattr(npz, "_BETWEEN", 50_000)
    monkeypatch.setattr(npz, "_PIECE", 1000)
    whole = np.random.default_rng(0).integers(0, 30, (300, 16, 16, 3), dtype=np.uint8)
    save(tmp_path / "a.npz", actions=np.zeros(3), observations=whole)
    stored = ArrayInZip.open(tmp_path / "a.npz", "observations")
    assert (stored.shape, stored.dtype) == (whole.shape, np.uint8)
    places = np.random.default_rng(1).integers(0, 290, 60).tolist()
    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(lambda first: stored.rows(first, first + 10), places))
    for first, part in zip(places, parts, strict=True):
        assert np.array_equal(part, whole[first : first + 10])
    marks = [mark.given for mark in stored._marks]
    assert marks == sorted(set(marks))
    if save is np.savez_compressed:
        assert len(marks) > 3  # so that a later place is not sought from the beginning
