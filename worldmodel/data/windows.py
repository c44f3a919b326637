"""Which episodes train and which are held out, and which windows lie inside one episode."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from worldmodel.data.episode import Indices
from worldmodel.errors import UserError

__all__ = ["Episodes", "episode_split", "window_starts"]


class Episodes(Protocol):
    """Where episodes lie in the rows of a dataset."""

    @property
    def lengths(self) -> Indices:
        """Frames per episode, int64 ``[E]``."""
        ...

    @property
    def starts(self) -> Indices:
        """Row of each episode's first frame, int64 ``[E]``."""
        ...


def episode_split(
    num_episodes: int, holdout: float = 0.1, seed: int = 0
) -> tuple[Indices, Indices]:
    """Splits episodes at random into training and held-out ones, at least one of each.

    Args:
        num_episodes: How many there are.
        holdout: Share that is held out.
        seed: The same seed holds out the same episodes.

    Returns:
        Sorted episode numbers: training, held out.

    Raises:
        UserError: Fewer than two episodes.
    """
    if num_episodes < 2:
        raise UserError(
            f"Expected at least 2 episodes to hold one out, got {num_episodes}. Collect more."
        )
    held_out = min(max(round(holdout * num_episodes), 1), num_episodes - 1)
    order = np.random.default_rng(seed).permutation(num_episodes).astype(np.int64)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def window_starts(
    dataset: Episodes, episodes: npt.ArrayLike, length: int, stride: int = 1
) -> Indices:
    """Rows at which a window of frames can start so that it ends in the same episode.

    A window is the rows ``start + stride * arange(length)``.

    Args:
        dataset: Where episodes lie.
        episodes: The episodes to take windows from.
        length: Frames in a window.
        stride: Rows from one frame of a window to its next.

    Returns:
        int64, ascending in the order of ``episodes``.

    Raises:
        UserError: No episode is long enough.
    """
    span = (length - 1) * stride + 1
    chosen = np.asarray(episodes, dtype=np.int64)
    starts = [
        np.arange(s, s + n - span + 1)
        for s, n in zip(dataset.starts[chosen], dataset.lengths[chosen], strict=True)
    ]
    rows = np.concatenate([np.empty(0, dtype=np.int64), *starts])
    if not len(rows):
        longest = int(dataset.lengths[chosen].max(initial=0))
        raise UserError(
            f"Expected episodes of at least {span} frames ({length} frames, {stride} apart), "
            f"got at most {longest}. Shorten the window or collect longer episodes."
        )
    return rows
