"""Actions and states as the networks see them: of unit scale, and without jumps.

Physical units stop here; the statistics are buffers, so that they travel with the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["POSE_ANGLES", "POSE_WIDTH", "ActionScaling", "StateFeatures"]

POSE_WIDTH = 7  # xyz, extrinsic-xyz Euler angles, gripper closedness
POSE_ANGLES = (3, 4, 5)
_STILL = 1e-6  # share of its size by which a number may differ and count as one that never moves


class ActionScaling(nn.Module):
    """Physical actions to unit scale around rest, and back. Dimensions that never moved are rest.

    Args:
        width: A.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(width))
        self.rest: Tensor
        self.register_buffer("rest", torch.zeros(width))

    def fit(self, actions: Tensor, rest: Sequence[float] = ()) -> None:
        """Take the root mean square of ``actions [F, A]`` around ``rest`` as the scale."""
        if rest:
            self.rest.copy_(torch.tensor(rest))
        moved = actions - self.rest
        moves = _moves(actions)
        self.scale.copy_(moved.square().mean(0).sqrt() * moves)

    def forward(self, actions: Tensor) -> Tensor:
        """Scaled actions, same shape."""
        known = self.scale > 1e-6
        return torch.where(known, (actions - self.rest) / self.scale.clamp(min=1e-6), 0.0)

    def inverse(self, scaled: Tensor) -> Tensor:
        """Physical actions, same shape."""
        return scaled * self.scale + self.rest


class StateFeatures(nn.Module):
    """Standardised states; angles enter as sine and cosine, where they would jump.

    A gripper that points down has a roll of about pi, where the angle itself jumps.

    Args:
        width: P.
        angles: Where angles stand, rad.
        half_turn: Those of them after half a turn of which the robot looks the same.
        least: Smallest spread, physical units, that is scaled to one: what hardly moves is held
            still, and its noise must not be blown up.

    Attributes:
        width: F.
        visible: What a picture can show of the features, 0 or 1 ``[F]``.
    """

    def __init__(
        self,
        width: int,
        angles: Sequence[int] = (),
        half_turn: Sequence[int] = (),
        least: float = 0.0,
    ) -> None:
        super().__init__()
        self._angles = list(angles)
        first = min(angles, default=width)
        rest = [place for place in range(width) if place not in angles]
        self._before = [place for place in rest if place < first]
        self._after = [place for place in rest if place > first]
        self._least = least
        self.width = width + len(angles)
        mixed = [*self._before, *self._angles, *self._after]
        # Buffers, for a list as an index would be copied to the device at every use.
        moved = mixed != sorted(mixed)
        order = [mixed.index(place) for place in range(width)]
        self._mixed: Tensor | None
        self.register_buffer("_mixed", torch.tensor(mixed) if moved else None, persistent=False)
        self._order: Tensor | None
        self.register_buffer("_order", torch.tensor(order) if moved else None, persistent=False)
        self.turns: Tensor  # half a turn is a whole one of twice the angle
        turns = torch.tensor([2.0 if place in half_turn else 1.0 for place in angles])
        self.register_buffer("turns", turns)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("std", torch.ones(self.width))
        self.lowest: Tensor
        self.highest: Tensor
        self.register_buffer("lowest", torch.full((width,), -torch.inf))
        self.register_buffer("highest", torch.full((width,), torch.inf))
        self.visible: Tensor
        self.register_buffer("visible", torch.ones(self.width))

    def fit(self, states: Tensor, hidden: Sequence[int] = ()) -> None:
        """Take mean, spread and range of ``states [F, P]``; ``hidden`` are those no picture shows.

        A number that never moves becomes zero.
        """
        if not self.width:
            return  # torch warns of the spread of nothing
        self.lowest.copy_(states.amin(0))
        self.highest.copy_(states.amax(0))
        raw = self._unwrapped(states)
        self.mean.copy_(raw.mean(0))
        self.std.copy_(raw.std(0).clamp(min=self._least) * (_moves(raw) | bool(self._least)))
        shown = [0.0 if place in hidden else 1.0 for place in self.places]
        self.visible.copy_(torch.tensor(shown))

    @property
    def places(self) -> list[int]:
        """The state that each feature is of, ``[F]``."""
        return [*self._before, *self._angles, *self._angles, *self._after]

    def forward(self, states: Tensor) -> Tensor:
        """Features ``[..., F]`` of states ``[..., P]``."""
        moved = self._unwrapped(states) - self.mean
        return torch.where(self.std > 0, moved / self.std.clamp(min=1e-12), 0.0)

    def inverse(self, features: Tensor) -> Tensor:
        """States ``[..., P]`` of features ``[..., F]``."""
        raw = features * self.std + self.mean
        if not self._angles:
            return raw
        before, sine, cosine, after = raw.split(
            [len(self._before), *[len(self._angles)] * 2, len(self._after)], -1
        )
        angles = torch.atan2(sine, cosine) / self.turns
        mixed = torch.cat([before, angles, after], -1)
        return mixed if self._order is None else mixed.index_select(-1, self._order)

    def _unwrapped(self, states: Tensor) -> Tensor:
        if not self._angles:
            return states
        mixed = states if self._mixed is None else states.index_select(-1, self._mixed)
        sizes = [len(self._before), len(self._angles), len(self._after)]
        before, angles, after = mixed.split(sizes, -1)
        turned = angles * self.turns
        return torch.cat([before, turned.sin(), turned.cos(), after], -1)


def _moves(values: Tensor) -> Tensor:
    """Which numbers of ``values [F, X]`` differ from row to row, ``[X]``."""
    reach = values.amax(0) - values.amin(0)
    return reach > _STILL * values.abs().amax(0).clamp(min=_STILL)
