"""How alike two orders are, and how sure a mean over episodes is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["mean_interval", "spearman"]


def spearman(one: npt.ArrayLike, other: npt.ArrayLike) -> float | None:
    """Spearman's rank correlation of two rows ``[n]``; ties share the mean of their ranks.

    It is None if one of them is the same throughout: there is no order to agree with.

    >>> round(spearman([1, 2, 3, 4], [10, 20, 20, 90]), 3)
    0.949
    """
    x, y = (_ranks(np.asarray(row, np.float64)) for row in (one, other))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[index]


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
