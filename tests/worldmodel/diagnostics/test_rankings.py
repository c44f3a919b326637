"""Rank statistics are those of the books, and intervals widen where rows hang together."""

from __future__ import annotations

import numpy as np
import pytest

from worldmodel.diagnostics.rankings import (
    agreement,
    auroc,
    bootstrap,
    ranks,
    spearman,
    worst_tenth,
)

RNG = np.random.default_rng(0)


def test_tied_values_share_their_mean_rank():
    assert ranks(np.array([3, 1, 3, 0, 3])).tolist() == [4, 2, 4, 1, 4]


def test_spearman_only_looks_at_the_order():
    x = RNG.normal(size=50)
    assert spearman(x, np.exp(3 * x)) == pytest.approx(1)
    assert spearman(x, -(x**3)) == pytest.approx(-1)
    d = ranks(x) - ranks(y := RNG.normal(size=50))
    assert spearman(x, y) == pytest.approx(1 - 6 * (d @ d) / (50 * (50**2 - 1)))


def test_what_is_constant_tells_nothing():
    x, constant = RNG.normal(size=20), np.ones(20)
    assert spearman(x, constant) == 0
    assert auroc(constant, x > 0) == 0.5


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
