"""Marks that no picture loses: a range that holds them, or their place at its edge.

A mark beyond the axes is not drawn, and its entry in the legend stays, as if it were there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["Edge", "at_edge", "holding", "span", "told_unknown"]

Places = NDArray[np.floating[Any]]

_MARGIN = 0.06  # of what lies farthest, so that its mark is whole


class Edge(NamedTuple):
    """Where a mark beyond a square picture is told of.

    Attributes:
        place: Within the picture, ``[2]``.
        towards: From there to where it truly lies, ``[2]``, of length 1.
    """

    place: Places
    towards: Places

    def angle(self, *, down: bool = False) -> float:
        """Degrees, clockwise from upwards on the screen, where the second axis may point down."""
        right, up = self.towards * [1, -1] if down else self.towards
        return float(np.degrees(np.arctan2(right, up)))


def holding(limit: float, places: Sequence[Places]) -> float:
    """The limit, or a larger one that holds all places ``[..., n]``, both ways, with a margin."""
    farthest = max((float(np.abs(some).max()) for some in places if some.size), default=0.0)
    return limit if farthest <= limit else farthest * (1 + _MARGIN)


def span(axis: Places, places: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis ``[n]``, moved outwards where that takes them to hold places on it."""
    low, high = float(axis[0]), float(axis[-1])
    margin = _MARGIN * (high - low)
    below, above = min(places), max(places)
    return (
        low if below >= low else below - margin,
        high if above <= high else above + margin,
    )


def at_edge(place: Places, limit: float, start: Places | None = None) -> Edge | None:
    """Where the straight line to a place ``[2]`` leaves what lies within ``limit`` both ways.

    Args:
        place: Where to.
        limit: Of the picture.
        start: Where from; None for the middle. If that lies beyond as well, the nearest place
            within is taken.

    Returns:
        None if the place lies within.
    """
    if np.abs(place).max() <= limit:
        return None
    start = np.zeros_like(place) if start is None else start
    way = place - start
    if np.abs(start).max() <= limit:
        longest = [(np.sign(w) * limit - s) / w for w, s in zip(way, start, strict=True) if w]
        near = start + min(longest) * way
    else:
        near = np.clip(place, -limit, limit)
    return Edge(near, (place - near) / np.linalg.norm(place - near))


def told_unknown(axes: Axes, text: str, x: float, y: float) -> None:
    """Say that there is no figure where a mark would be: at x of the axes' width and y of data."""
    note = axes.text(x, y, text, transform=axes.get_yaxis_transform())
    note.set(va="center", color="0.4", fontsize=7)
