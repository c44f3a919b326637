"""Pairs of start and goal by the rules of the public benchmarks: two moments of one episode.

The episode is the collecting script's, with a seed that was never collected, so nothing was trained
on it. Moments are counted in steps of the simulation, whatever a world's action stands for: every
policy gets the same pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from worldmodel.agents.environment import Environment
from worldmodel.errors import UserError

__all__ = ["AHEAD", "BUDGET", "draw_pair", "pair_seeds"]

AHEAD = 25  # steps of the simulation from start to goal
BUDGET = 50  # steps of the simulation in which to get there
_LATEST = 250  # steps of the script before a start, at most
_TRIES = 1000
_MOST_PAIRS = 10_000  # of a seed


def pair_seeds(seed: int, pairs: int) -> range:
    """Seeds of the pairs of one of the benchmark's seeds; no two of them share a pair.

    Raises:
        UserError: There are not so many.
    """
    if pairs > _MOST_PAIRS:
        raise UserError(f"Expected at most {_MOST_PAIRS} pairs a seed, got {pairs}")
    return range(_MOST_PAIRS * seed, _MOST_PAIRS * seed + pairs)


def draw_pair(env: Environment, seed: int) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Put an environment at the start of a pair, its goal `AHEAD` steps later.

    Pairs that are solved at their start by the mode's own rule, or that the task's rules do not
    admit, are drawn again, from another episode.

    Args:
        env: A suite's, judged by a mode (`worldmodel.envs.judged`), with or without held actions.
        seed: Of the pair.

    Returns:
        Observation and ``info`` at the start.
    """
    suite: Any = env.unwrapped
    solved, begin = env.get_wrapper_attr("solved"), env.get_wrapper_attr("begin")
    rng = np.random.default_rng(seed)
    for attempt in range(_TRIES):
        env.reset(seed=seed if attempt == 0 else None)
        script = suite.explore(rng)
        for _ in range(int(rng.integers(_LATEST + 1))):
            suite.advance(next(script))
        start = suite.snapshot()
        for _ in range(AHEAD):
            suite.advance(next(script))
        suite.set_goal()
        suite.restore(start)
        if suite.admits() and not solved():
            begin()
            return suite.observe(), suite.info()
    raise UserError(f"Expected a pair that is not solved at its start, got none in {_TRIES} tries")
