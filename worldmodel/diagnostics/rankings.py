"""How well one number ranks another: Spearman's ρ, AUROC, and bootstrap intervals of episodes.

Shapes: P predictors, R rows, K imagined steps, E groups of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

__all__ = [
    "Agreement",
    "agreement",
    "auroc",
    "bootstrap",
    "mean_interval",
    "spearman",
    "worst_tenth",
]

Array = NDArray[Any]


def spearman(one: npt.ArrayLike, other: npt.ArrayLike) -> float | None:
    """Spearman's rank correlation of two ``[n]``; ties share the mean of their ranks.

    It is None where one of them is constant: there is no order to agree with.

    >>> round(spearman([1, 2, 3, 4], [10, 20, 20, 90]), 3)
    0.949
    """
    from scipy.stats import spearmanr  # half a second, which no other command needs

    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if (a == a[0]).all() or (b == b[0]).all():
        return None
    return float(spearmanr(a, b).statistic)


def auroc(score: Array, positive: Array) -> float:
    """Chance that a positive scores higher than a negative (Mann and Whitney, 1947), ``[n]`` each.

    >>> auroc(np.array([0.1, 0.7, 0.4]), np.array([False, True, False]))
    1.0
    """
    from scipy.stats import mannwhitneyu

    above, below = score[positive], score[~positive]
    wins = mannwhitneyu(above, below, method="asymptotic").statistic
    return float(wins / (len(above) * len(below)))


def worst_tenth(errors: Array) -> Array:
    """Which of ``[n]`` errors are in the top decile; one at least, but never all."""
    count = max(1, round(len(errors) / 10))
    worst = np.zeros(len(errors), bool)
    worst[np.argsort(errors, kind="stable")[-count:]] = True
    return worst


class Agreement(NamedTuple):
    """How well predictors rank errors, ``[P]`` each; ``within`` a step is the mean over steps.

    Attributes:
        spearman: Over all steps together.
        spearman_within: Among errors of the same imagined step.
        auroc: Of telling the top decile of errors from the rest, over all steps together.
        auroc_within: The same within a step.
    """

    spearman: Array
    spearman_within: Array
    auroc: Array
    auroc_within: Array


def agreement(predictors: Array, errors: Array) -> Agreement:
    """Agreement of predictors ``[P, R, K]`` with errors ``[R, K]``; a constant one has ρ = 0."""
    together = [_agreement(p.ravel(), errors.ravel()) for p in predictors]
    within = [
        np.mean([_agreement(*pair) for pair in zip(p.T, errors.T, strict=True)], 0)
        for p in predictors
    ]
    (rho, area), (rho_within, area_within) = (np.array(found).T for found in (together, within))
    return Agreement(rho, rho_within, area, area_within)


def _agreement(predictor: Array, errors: Array) -> tuple[float, float]:
    return spearman(predictor, errors) or 0.0, auroc(predictor, worst_tenth(errors))


def bootstrap(
    statistic: Callable[[Array], Array], groups: Array, resamples: int, seed: int = 0
) -> Array:
    """A statistic of resampled rows, whole groups at a time (Davison and Hinkley, 1997, §3.8).

    Args:
        statistic: Of row numbers.
        groups: Which group each row is of, ``[R]``.
        resamples: How many.
        seed: Of the draws.

    Returns:
        ``[resamples, ...]``.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = rng.integers(len(members), size=(resamples, len(members)))
    return np.stack([statistic(np.concatenate([members[g] for g in row])) for row in drawn])


def mean_interval(
    per_episode: Sequence[float | None], *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Mean over episodes, with a 95 % percentile bootstrap interval that resamples episodes.

    Args:
        per_episode: One figure per episode; those that are None do not count.
        resamples: Of the bootstrap (Efron 1979).
        seed: Of the resampling.

    Returns:
        ``mean``, ``ci95`` and ``n``; the first two are None without any figure.
    """
    figures = np.array([figure for figure in per_episode if figure is not None])
    n = len(figures)
    if n == 0:
        return {"mean": None, "ci95": None, "n": 0}
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n))
    low, high = np.quantile(figures[drawn].mean(1), [0.025, 0.975])
    return {"mean": float(figures.mean()), "ci95": [float(low), float(high)], "n": n}
