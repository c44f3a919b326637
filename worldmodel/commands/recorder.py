"""A world that remembers what it was asked to imagine: the candidates of a search."""

from __future__ import annotations

from torch import Tensor

from planners import Trajectory, World

__all__ = ["Recorder"]


class Recorder:
    """The world itself, beside it the populations ``[B, S, H, A]`` it was asked about, in turn."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.stride = world.stride
        self.populations: list[Tensor] = []

    def encode(self, frames: Tensor) -> Tensor:
        """The world's latents."""
        return self._world.encode(frames)

    def compare(self, latents: Tensor, look: Tensor) -> Tensor:
        """The world's comparison."""
        return self._world.compare(latents, look)

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Trajectory:
        """The world's imagination."""
        self.populations.append(actions)
        return self._world.rollout(latents, states, actions)
