"""Rank correlations share ties and claim nothing without an order; intervals are of episodes."""

from __future__ import annotations

import numpy as np
import pytest

from worldmodel.diagnostics.rank_statistics import mean_interval, spearman


def test_only_the_order_matters():
    x = np.array([3.0, -1.0, 10.0, 4.0])
    assert spearman(x, np.exp(x)) == pytest.approx(1.0)
    assert spearman(x, -(x**3)) == pytest.approx(-1.0)


def test_ties_share_the_mean_of_their_ranks():
    # Pearson's correlation of the ranks [1, 2.5, 2.5, 4] and [1, 2, 3, 4].
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_without_an_order_there_is_no_figure():
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_the_interval_covers_the_mean_and_narrows_with_episodes():
    rng = np.random.default_rng(0)
    few, many = (mean_interval(rng.normal(size=n).tolist()) for n in (10, 1000))
    for found in (few, many):
        low, high = found["ci95"]
        assert low < found["mean"] < high
    assert np.ptp(many["ci95"]) < 0.3 * np.ptp(few["ci95"])


def test_episodes_without_a_figure_do_not_count():
    assert mean_interval([1.0, None, 3.0])["n"] == 2
    assert mean_interval([None]) == {"mean": None, "ci95": None, "n": 0}
