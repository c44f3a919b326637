"""How well one number ranks another: Spearman's ρ, AUROC, and their bootstrap intervals.

Shapes: P predictors, R rows, K imagined steps, E groups of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Agreement", "agreement", "auroc", "bootstrap", "ranks", "spearman", "worst_tenth"]

Array = NDArray[Any]


def ranks(values: Array) -> Array:
    """Ranks from 1 on, ties sharing their mean, ``[n]``.

    >>> ranks(np.array([5.0, 1.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def spearman(one: Array, other: Array) -> float:
    """Rank correlation of two ``[n]``; 0 where one of them is constant and so tells nothing.

    >>> spearman(np.array([1, 2, 3]), np.array([10, 30, 20]))
    0.5
    """
    a, b = (r - r.mean() for r in (ranks(one), ranks(other)))
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else 0.0


def auroc(score: Array, positive: Array) -> float:
    """Chance that a positive scores higher than a negative (Mann and Whitney, 1947), ``[n]`` each.

    >>> auroc(np.array([0.1, 0.7, 0.4]), np.array([False, True, False]))
    1.0
    """
    count = int(positive.sum())
    above = ranks(score)[positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(score) - count)))


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
    """Agreement of predictors ``[P, R, K]`` with errors ``[R, K]``."""
    flat, worst = errors.ravel(), worst_tenth(errors.ravel())
    columns = [(errors[:, k], worst_tenth(errors[:, k]), k) for k in range(errors.shape[1])]
    return Agreement(
        np.array([spearman(p.ravel(), flat) for p in predictors]),
        np.array([np.mean([spearman(p[:, k], e) for e, _, k in columns]) for p in predictors]),
        np.array([auroc(p.ravel(), worst) for p in predictors]),
        np.array([np.mean([auroc(p[:, k], w) for _, w, k in columns]) for p in predictors]),
    )


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
