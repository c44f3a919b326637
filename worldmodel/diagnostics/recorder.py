"""What a search tried, written down as it goes, by the world or by the energy it asked."""

from __future__ import annotations

from torch import Tensor

from worldmodel.planners import Futures, Total, Trajectory, World

__all__ = ["RecordedEnergy", "Recorder"]


class Recorder:
    """The world itself, beside it the populations ``[B, S, H, A]`` it was asked about, in turn."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.stride = world.stride
        self.populations: list[Tensor] = []

    def encode(self, frames: Tensor) -> Tensor:
        """The world's latents."""
        return self._world.encode(frames)

    def project(self, latents: Tensor, reference: Tensor) -> Tensor:
        """The world's comparison."""
        return self._world.project(latents, reference)

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Trajectory:
        """The world's imagination."""
        self.populations.append(actions)
        return self._world.rollout(latents, states, actions)


class RecordedEnergy:
    """The energy itself, beside it the populations it judged, in turn.

    Each is the candidates ``[B, S, H, A]`` and their totals ``[B, S]``.
    """

    def __init__(self, energy: Total) -> None:
        self._energy = energy
        self.judged: list[tuple[Tensor, Tensor]] = []

    def to_go(self, futures: Futures) -> Tensor:
        """``E_goal`` of paths, which is not recorded."""
        return self._energy.to_go(futures)

    def goal_alone(self) -> Total:
        """``E_goal`` alone, unrecorded."""
        return self._energy.goal_alone()

    def __call__(self, trajectory: Trajectory) -> tuple[Tensor, dict[str, Tensor]]:
        """The energy's total and terms."""
        total, terms = self._energy(trajectory)
        self.judged.append((trajectory.actions.detach(), total.detach()))
        return total, terms
