"""The box that actions lie in, and rest, which every cold search starts from.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from worldmodel.planners.timing import Pace

__all__ = ["ActionBox", "Start"]


class Start(NamedTuple):
    """Where a search begins, which is all that one plan leaves to the next.

    Attributes:
        actions: A sequence ``[B, H, A]``.
        searched: How many of its first steps a search has found; what follows them is rest, or what
            the policy prior alone would do.
        kept: More sequences to try, ``[B, n, H, A]``; n may be 0.
        pace: How long plans take, as far as deadlines made it worth knowing.
    """

    actions: Tensor
    searched: int
    kept: Tensor
    pace: Pace = Pace()


class ActionBox:
    """Bounds of actions, of which some dimensions may be held at rest.

    Args:
        low: Lower bounds ``[A]``, physical units; their device is the planner's.
        high: Upper bounds ``[A]``.
        active_dims: Dimensions to search over; the others stay at rest. None for all.
        rest: What does nothing, ``[A]``; None for zero, or the bound that is nearest to it.

    Raises:
        ValueError: The bounds are reversed or not finite, there is no such dimension, or rest is
            not within the bounds of a dimension that is held there.
    """

    def __init__(
        self,
        low: Tensor,
        high: Tensor,
        active_dims: Sequence[int] | None = None,
        rest: Tensor | None = None,
    ) -> None:
        fits = low.ndim == 1 and low.shape == high.shape and low.is_floating_point()
        # A finite range has finite ends.
        if not fits or not bool(((high - low).isfinite() & (low <= high)).all()):
            raise ValueError(
                f"Expected finite bounds low <= high, floating-point of shape [A], got {low} and "
                f"{high}"
            )
        width = len(low)
        dims = range(width) if active_dims is None else active_dims
        if not all(0 <= dim < width for dim in dims):
            raise ValueError(
                f"Expected active_dims within 0..{width - 1} for actions of width {width}, "
                f"got {tuple(dims)}"
            )
        active = torch.zeros_like(low, dtype=torch.bool)
        active[list(dims)] = True
        still = torch.zeros_like(low) if rest is None else rest.to(low)
        held = ~active & ((low > still) | (high < still))
        if bool(held.any()):
            raise ValueError(
                f"Expected bounds around rest where an action stays there, {still.tolist()}, got "
                f"{low} and {high} with active_dims={tuple(dims)}; search over the others as well"
            )
        # Bounds of rest keep every candidate, proposals included, there in inactive dimensions.
        self.low, self.high = low.where(active, still), high.where(active, still)
        self.half_range = (self.high - self.low) / 2
        self._centre = (self.low + self.high) / 2
        self._rest = still.clamp(self.low, self.high)

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
        rest = self._rest.repeat(batch, horizon, 1)
        return Start(rest, 0, rest[:, None][:, :0])

    def shifted(self, start: Start, steps: int) -> Start:
        """Without the steps that were executed, and at rest in the end; cold if nothing is left."""
        batch, horizon = start.actions.shape[:2]
        if steps >= horizon:
            return self.cold(batch, horizon)._replace(pace=start.pace)
        return start._replace(
            actions=self._later(start.actions, steps),
            searched=max(0, start.searched - steps),
            kept=self._later(start.kept, steps),
        )

    def _later(self, actions: Tensor, steps: int) -> Tensor:
        rest = self._rest.expand(*actions.shape[:-2], steps, -1)
        return torch.cat([actions[..., steps:, :], rest], -2)
