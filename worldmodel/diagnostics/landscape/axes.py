"""Action dimensions as axes of a picture: names, units, and the range that is searched.

Displacements of a pose are told in cm per step. Of other actions nobody knows the unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.agents.planner import Bounds
from worldmodel.diagnostics.marks import holding
from worldmodel.errors import UserError
from worldmodel.spec import POSE_ACTIONS, ActionSpec

__all__ = [
    "CM",
    "ActionAxis",
    "action_axes",
    "ranges",
    "shared",
    "third_points",
    "told",
    "with_units",
]

CM = 100.0
_POSE_UNITS = ("cm", "cm", "cm", "rad", "rad", "rad", "")
_MOST = 3  # axes: two of a plane, and the one that is scanned

Places = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ActionAxis:
    """An action dimension as an axis.

    Attributes:
        place: Its number among the axes.
        dim: Its number among the actions.
        name: On axes and in titles, such as ``Δx``.
        word: In printed lines, such as ``x``.
        low: Lowest that is searched, physical units.
        high: Highest that is searched.
        rest: What does nothing.
        unit: In which it is told; empty where nobody knows.
        per_step: Whether it is a change per control step.
    """

    place: int
    dim: int
    name: str
    word: str
    low: float
    high: float
    rest: float
    unit: str = ""
    per_step: bool = False

    @property
    def factor(self) -> float:
        """From physical units to the unit."""
        return CM if self.unit == "cm" else 1.0

    @property
    def label(self) -> str:
        """Of an axis of a picture."""
        told = " ".join([self.unit] * bool(self.unit) + ["per step"] * self.per_step)
        return f"{self.name}, {told}" if told else self.name

    def number(self, value: float) -> str:
        """A value in the unit, in words without it."""
        return f"{self.word} {value:{'+.1f' if self.unit == 'cm' else '+.3g'}}"

    def hover(self, variable: str) -> str:
        """A template of plotly that tells a variable, without its unit."""
        return f"{self.name} %{{{variable}:{'.2f' if self.unit == 'cm' else '.3g'}}}"


def action_axes(
    actions: ActionSpec, searched: Bounds, dims: Sequence[int] | None
) -> tuple[ActionAxis, ...]:
    """The axes to draw over.

    Args:
        actions: Names, bounds, rest and kind.
        searched: The planner's bounds, equal where it searches nothing.
        dims: Two or three dimensions; None for the first three that the planner searches.

    Raises:
        UserError: There is no such dimension, it cannot move, or there are fewer than two.
    """
    listed = ", ".join(f"{dim} {name}" for dim, name in enumerate(actions.names))
    moving = (searched.high > searched.low).nonzero()[:, 0].tolist()
    chosen = moving[:_MOST] if dims is None else list(dims)
    if wrong := [dim for dim in chosen if dim >= actions.width]:
        raise UserError(f"Expected dims among the actions {listed}, got {wrong[0]}")
    if actions.width == 1:
        raise UserError(
            "Expected actions of two numbers or more, for a landscape lies over two actions, got "
            f"{actions.names[0]} alone; use an environment or a checkpoint with more"
        )
    if len(chosen) < 2:
        found = ", ".join(actions.names[dim] for dim in chosen) or "none"
        raise UserError(
            "Expected two action dimensions or more, over which a landscape lies, got a planner "
            f"that searches {found}; choose two of {listed} with dims=[…]"
        )
    for dim in chosen:
        if actions.low[dim] == actions.high[dim]:
            raise UserError(
                f"Expected dims of actions that can move, got {dim} {actions.names[dim]}, whose "
                f"bounds are both {actions.low[dim]:g}; choose others of {listed}"
            )
    return tuple(_axis(actions, dim, place) for place, dim in enumerate(chosen))


def _axis(actions: ActionSpec, dim: int, place: int) -> ActionAxis:
    pose = actions.kind == "pose_delta"
    name = word = actions.names[dim]
    if pose and name in POSE_ACTIONS:
        word = name[1:]
        name = f"Δ{word}"
    # As actions are float32, so that the bounds themselves do not lie beyond them.
    low, high, rest = (
        float(np.float32(end[dim])) for end in (actions.low, actions.high, actions.rest)
    )
    unit = _POSE_UNITS[dim] if pose else ""
    return ActionAxis(place, dim, name, word, low, high, rest, unit, pose)


def shared(axes: Sequence[ActionAxis]) -> bool:
    """Whether all axes have one unit and one range."""
    return all((a.unit, a.low, a.high) == (b.unit, b.low, b.high) for a, b in pairwise(axes))


def ranges(axes: Sequence[ActionAxis], places: Sequence[Places]) -> NDArray[np.float64]:
    """What to draw along each axis, ``[n, 2]``: what is searched, widened to hold places.

    Axes of one range are widened alike.

    Args:
        axes: n.
        places: Of marks, ``[..., n]`` each.
    """
    low, high = np.array([(axis.low, axis.high) for axis in axes]).T
    middle, half = (low + high) / 2, (high - low) / 2
    apart = [np.asarray(place, np.float64) - middle for place in places]
    if shared(axes):
        half = np.full_like(half, holding(float(half[0]), apart))
    else:
        of_axis = range(len(axes))
        half = np.array(
            [holding(float(half[i]), [some[..., i] for some in apart]) for i in of_axis]
        )
    return np.stack([middle - half, middle + half], -1)


def third_points(axis: ActionAxis, count: int) -> Tensor:
    """Points ``[count]`` from the lowest to the highest that is searched, rest among them.

    Args:
        axis: Whose.
        count: Odd.
    """
    if axis.rest in (axis.low, axis.high):
        return torch.linspace(axis.low, axis.high, count)
    below = torch.linspace(axis.low, axis.rest, count // 2 + 1)
    return torch.cat([below, torch.linspace(axis.rest, axis.high, count // 2 + 1)[1:]])


def told(axes: Sequence[ActionAxis], place: Places) -> str:
    """A place ``[n]`` in words, such as ``x +2.0 y -3.0 z +1.0 cm``."""
    shown = place * np.array([axis.factor for axis in axes], place.dtype)
    numbers = [axis.number(value) for axis, value in zip(axes, shown.tolist(), strict=True)]
    return with_units(axes, numbers, " ")


def with_units(axes: Sequence[ActionAxis], numbers: Sequence[str], between: str) -> str:
    """Numbers in words, the unit behind the last of those that share it."""
    pairs = zip(axes, numbers, strict=True)
    parts = [
        between.join(number for _, number in group) + (f" {unit}" if unit else "")
        for unit, group in groupby(pairs, key=lambda pair: pair[0].unit)
    ]
    return ", ".join(parts)
