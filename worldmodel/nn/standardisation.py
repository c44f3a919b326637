"""Actions and states as the networks see them: of unit scale, and without jumps.

Physical units stop here; the statistics are buffers, so that they travel with the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worldmodel.nn.pose import summed, travelled

__all__ = ["POSE_WIDTH", "ActionScaling", "StateFeatures", "imagined_states"]

POSE_WIDTH = 7  # xyz, extrinsic-xyz Euler angles, gripper closedness


class ActionScaling(nn.Module):
    """Physical actions to unit scale and back. Dimensions that never moved map to zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(width))

    def fit(self, actions: Tensor) -> None:
        """Take the root mean square of ``actions [F, A]`` as the scale; zero stays zero."""
        self.scale.copy_(actions.square().mean(0).sqrt())

    def forward(self, actions: Tensor) -> Tensor:
        """Scaled actions, same shape."""
        known = self.scale > 1e-6
        return torch.where(known, actions / self.scale.clamp(min=1e-6), 0.0)

    def inverse(self, scaled: Tensor) -> Tensor:
        """Physical actions, same shape."""
        return scaled * self.scale


class StateFeatures(nn.Module):
    """Standardised states; of a pose, angles enter as sine and cosine.

    A gripper that points down has a roll of about pi, where the angle itself jumps.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pose = width == POSE_WIDTH
        self.width = width + 3 if self.pose else width
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("std", torch.ones(self.width))
        self.lowest: Tensor
        self.highest: Tensor
        self.register_buffer("lowest", torch.full((width,), -torch.inf))
        self.register_buffer("highest", torch.full((width,), torch.inf))

    def fit(self, states: Tensor) -> None:
        """Take mean, standard deviation and range of ``states [F, P]``."""
        self.lowest.copy_(states.amin(0))
        self.highest.copy_(states.amax(0))
        raw = self._unwrapped(states)
        self.mean.copy_(raw.mean(0))
        # What hardly moves (0.05 m or rad) is held still: its noise must not be blown up.
        self.std.copy_(raw.std(0).clamp(min=5e-2))

    def forward(self, states: Tensor) -> Tensor:
        """Features ``[..., F]`` of states ``[..., P]``."""
        return (self._unwrapped(states) - self.mean) / self.std

    def inverse(self, features: Tensor) -> Tensor:
        """States ``[..., P]`` of features ``[..., F]``."""
        raw = features * self.std + self.mean
        if not self.pose:
            return raw
        return torch.cat(
            [raw[..., :3], torch.atan2(raw[..., 3:6], raw[..., 6:9]), raw[..., 9:]], -1
        )

    def _unwrapped(self, states: Tensor) -> Tensor:
        if not self.pose:
            return states
        angles = states[..., 3:6]
        return torch.cat([states[..., :3], angles.sin(), angles.cos(), states[..., 6:]], -1)


def imagined_states(states: Tensor, actions: Tensor, seen: StateFeatures) -> Tensor:
    """The states that actions lead to, as far as proprioception alone can tell.

    Poses are composed with the actions; other states as wide as the actions are added to; states
    of any other width are held. Nothing leaves the range of the data, as arms stop at the end of
    their workspace.

    Args:
        states: Start, ``[B, S, P]`` or ``[B, 1, P]``.
        actions: ``[B, S, H, A]``, physical units.
        seen: Tells the range.

    Returns:
        ``[B, S, H + 1, P]``, the start included.
    """
    states = states.expand(-1, actions.shape[1], -1)
    if seen.pose and actions.shape[-1] == POSE_WIDTH:
        return travelled(states, actions, seen.lowest[:3], seen.highest[:3])
    if actions.shape[-1] == states.shape[-1]:
        return summed(states, actions, seen.lowest, seen.highest)
    return states.unsqueeze(2).expand(-1, -1, actions.shape[2] + 1, -1)
