"""Rank statistics are those of the books, and intervals widen where rows hang together."""

from __future__ import annotations

import numpy as np
import pytest

from worldmodel.diagnostics.rankings import (
    agreement,
    auroc,
    bootstrap,
    mean_interval,
    spearman,
    worst_tenth,
)

RNG = np.random.default_rng(0)


def test_only_the_order_matters():
    x = RNG.normal(size=50)
    assert spearman(x, np.exp(3 * x)) == pytest.approx(1)
    assert spearman(x, -(x**3)) == pytest.approx(-1)


def test_ties_share_the_mean_of_their_ranks():
    # Pearson's correlation of the ranks [1, 2.5, 2.5, 4] and [1, 2, 3, 4].
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_without_an_order_there_is_no_figure():
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert auroc(np.ones(20), np.arange(20) > 10) == 0.5


def test_auroc_is_the_share_of_pairs_in_order():
    score, positive = RNG.integers(0, 5, 40), RNG.random(40) < 0.3
    pairs = [(p > n) + 0.5 * (p == n) for p in score[positive] for n in score[~positive]]
    assert auroc(score, positive) == pytest.approx(np.mean(pairs))


def test_the_top_decile_is_a_tenth_of_the_errors_even_where_they_tie():
    errors = np.concatenate([np.zeros(95), np.ones(5)])
    assert worst_tenth(errors).sum() == 10
    assert worst_tenth(errors)[95:].all()
    assert worst_tenth(np.arange(4)).tolist() == [False, False, False, True]


def test_counting_steps_ranks_errors_that_grow_but_not_those_of_one_step():
    steps = np.arange(4)
    errors = steps + 0.1 * RNG.random((200, 4))
    counted, knowing = np.broadcast_to(steps, errors.shape), errors**2
    found = agreement(np.stack([counted, knowing]), errors)
    assert found.spearman[0] > 0.9
    assert found.spearman_within[0] == 0
    assert found.auroc_within[0] == 0.5
    for statistic in found:
        assert statistic[1] == pytest.approx(1)


def test_the_bootstrap_draws_whole_groups():
    groups = np.repeat(np.arange(10), 20)
    shared = np.repeat(RNG.normal(size=10), 20)
    together = bootstrap(lambda rows: shared[rows].mean(), groups, 300)
    apart = bootstrap(lambda rows: shared[rows].mean(), np.arange(200), 300)
    assert together.std() > 2 * apart.std()
    assert together.std() == pytest.approx(shared.std() / np.sqrt(10), rel=0.3)
    again = bootstrap(lambda rows: shared[rows].mean(), groups, 300)
    np.testing.assert_array_equal(together, again)


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
