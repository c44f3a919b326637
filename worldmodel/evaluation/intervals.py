"""How sure a success rate is, and a difference between two policies on the same episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from worldmodel.evaluation.episodes import Episode

__all__ = ["Rate", "mcnemar", "paired_summary", "percent", "success_summary", "wilson"]


class Rate(NamedTuple):
    """A success rate with its Wilson 95 % interval.

    >>> print(Rate.of(47, 64))
    73% [62%, 83%], n = 64
    """

    rate: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, successes: int, n: int) -> Rate:
        """Of so many successes in n episodes."""
        return cls(successes / n, *wilson(successes, n), n)

    def __str__(self) -> str:
        return f"{self.rate:.0%} [{self.low:.0%}, {self.high:.0%}], n = {self.n}"


def percent(entry: Mapping[str, Any] | None) -> str:
    """A stored ``rate`` with its ``ci95`` for tables; a dash where nobody judged.

    >>> percent({"rate": 0.73, "ci95": [0.62, 0.83]}), percent(None)
    ('73% [62%, 83%]', '–')
    """
    if entry is None or entry["rate"] is None:
        return "–"
    low, high = entry["ci95"]
    return f"{entry['rate']:.0%} [{low:.0%}, {high:.0%}]"


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson score interval of a success rate, 95 % (Wilson 1927).

    >>> [round(bound, 3) for bound in wilson(47, 64)]
    [0.615, 0.827]
    """
    from scipy.stats import binomtest  # half a second, which no other command needs

    interval = binomtest(successes, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(one: int, other: int) -> float:
    """Exact two-sided McNemar p-value of how unevenly two policies split their discordant pairs.

    Args:
        one: Episodes that only the one policy solved.
        other: Episodes that only the other solved.

    >>> mcnemar(5, 0)
    0.0625
    """
    from scipy.stats import binomtest

    return float(binomtest(one, one + other).pvalue) if one + other else 1.0


def paired_summary(planner: Sequence[Episode], baseline: Sequence[Episode]) -> dict[str, Any]:
    """Over the seeds that both ran, episodes that only one of them solved, and McNemar's p."""
    solved = {episode.seed: episode.success for episode in planner}
    pairs = [(solved[e.seed], e.success) for e in baseline if e.seed in solved]
    planner_only, baseline_only = pairs.count((True, False)), pairs.count((False, True))
    return {
        "planner_only": planner_only,
        "baseline_only": baseline_only,
        "p": mcnemar(planner_only, baseline_only),
    }


def success_summary(episodes: Sequence[Episode]) -> dict[str, Any] | None:
    """Rates with intervals, settled in the end (``final``) and at any step; None if not judged."""

    def rate(outcomes: list[bool]) -> dict[str, Any]:
        solved = sum(outcomes)
        return {"rate": solved / len(outcomes), "ci95": list(wilson(solved, len(outcomes)))}

    final = [episode.success for episode in episodes if episode.success is not None]
    at_any = [episode.success_any for episode in episodes if episode.success_any is not None]
    return {"final": rate(final), "any": rate(at_any)} if final else None
