"""The box that actions lie in, and rest, which every cold search starts from.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["ActionBox", "Start"]


class Start(NamedTuple):
    """Where a search begins: a sequence ``[B, H, A]``, and whether it is the rest of a plan."""

    actions: Tensor
    warm: bool


class ActionBox:
    """Bounds of actions, of which some dimensions may be held at rest.

    Args:
        low: Lower bounds ``[A]``, physical units; their device is the planner's.
        high: Upper bounds ``[A]``.
        active_dims: Dimensions to search over; the others stay zero. None for all.

    Raises:
        ValueError: The bounds are reversed or not finite, or there is no such dimension.
    """

    def __init__(self, low: Tensor, high: Tensor, active_dims: Sequence[int] | None = None) -> None:
        width = low.shape[-1]
        fits = low.shape == high.shape == (width,)
        if not fits or not bool((low.isfinite() & high.isfinite() & (low <= high)).all()):
            raise ValueError(
                f"Expected finite bounds low <= high of shape [A], got {low} and {high}"
            )
        dims = range(width) if active_dims is None else active_dims
        if not all(0 <= dim < width for dim in dims):
            raise ValueError(
                f"Expected active_dims within 0..{width - 1} for actions of width {width}, "
                f"got {tuple(dims)}"
            )
        active = torch.zeros_like(low)
        active[list(dims)] = 1.0
        # Bounds of zero keep every candidate, proposals included, at rest in inactive dimensions.
        self.low, self.high = low * active, high * active
        self.half_range = (self.high - self.low) / 2
        self._centre = (self.low + self.high) / 2
        self._rest = torch.zeros_like(low).clamp(self.low, self.high)

    def clamp(self, actions: Tensor) -> Tensor:
        """Actions ``[..., A]`` within the box."""
        return actions.clamp(self.low, self.high)

    def shares(self, actions: Tensor) -> Tensor:
        """Actions ``[..., A]`` as shares of the box, from -1 to 1."""
        reach = self.half_range.clamp(min=torch.finfo(actions.dtype).tiny)
        return ((actions - self._centre) / reach).clamp(-1, 1)

    def actions(self, shares: Tensor) -> Tensor:
        """Actions of shares."""
        return self.clamp(self._centre + shares * self.half_range)

    def cold(self, batch: int, horizon: int) -> Start:
        """At rest."""
        return Start(self._rest.repeat(batch, horizon, 1), warm=False)

    def shifted(self, start: Start, steps: int) -> Start:
        """Without the steps that were executed, and at rest in the end; cold if nothing is left."""
        batch, horizon = start.actions.shape[:2]
        if steps >= horizon:
            return self.cold(batch, horizon)
        rest = self._rest.expand(batch, steps, -1)
        return Start(torch.cat([start.actions[:, steps:], rest], 1), start.warm)
