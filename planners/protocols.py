"""All that a planner knows of a world model, an energy and a policy prior.

Shapes: B episodes planned at once, S candidate samples, H horizon in control steps, K imagined
steps (``K = H // stride``), T context frames, N tokens per frame, D latent width, A action width,
P proprioceptive width, M ensemble members.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = [
    "Energy",
    "Futures",
    "GoalEnergy",
    "Proposal",
    "Referee",
    "Total",
    "Trajectory",
    "Uncertainty",
    "Watchful",
    "World",
]


class Futures(Protocol):
    """What S paths come to, however they came about."""

    @property
    def latents(self) -> Tensor:
        """Imagined latents, ``[B, S, K, N, D]``."""
        ...

    @property
    def states(self) -> Tensor:
        """Proprioceptive states that go with them, ``[B, S, K, P]`` in physical units."""
        ...


class Trajectory(Futures, Protocol):
    """Imagined futures of S candidate action sequences."""

    @property
    def actions(self) -> Tensor:
        """What was imagined to be done, ``[B, S, H, A]`` in physical units."""
        ...

    @property
    def start_latents(self) -> Tensor:
        """Latents of the last context frame, ``[B, N, D]``."""
        ...

    @property
    def start_states(self) -> Tensor:
        """The state that goes with it, ``[B, P]`` in physical units."""
        ...

    @property
    def members(self) -> Tensor | None:
        """What each member of an ensemble imagines, ``[M, B, S, K, ...]``; None with a single one.

        Parts of the latents that all members share may be left out.
        """
        ...


class World(Protocol):
    """A world model: frames to latents, latents and actions to imagined trajectories."""

    @property
    def stride(self) -> int:
        """Control steps per imagined step; the horizon is a multiple of it."""
        ...

    def encode(self, frames: Tensor) -> Tensor:
        """Latents ``[B, T, N, D]`` of ``uint8`` RGB frames ``[B, T, height, width, 3]``."""
        ...

    def project(self, latents: Tensor, reference: Tensor) -> Tensor:
        """What to plan with, of encoded frames and of goals: latents again, maybe of other sizes.

        A world may tell best by comparison what is where. One that takes encoded frames as they are
        gives them back.

        Args:
            latents: Encoded frames, ``[B, T, N, D]``.
            reference: Another frame of the same scene, encoded, ``[B, N, D]``: for what the camera
                shows the goal, for goals what the camera showed first.
        """
        ...

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Trajectory:
        """Imagine.

        Args:
            latents: Context latents, compared, ``[B, T, N, D]``.
            states: Context states, ``[B, T, P]``, physical units.
            actions: Candidates, ``[B, S, H, A]``, physical units; the first one is applied at the
                last context frame.
        """
        ...


@runtime_checkable
class Watchful(Protocol):
    """A world that notices frames unlike those it was trained on."""

    def strangeness(self, latents: Tensor) -> Tensor:
        """Of encoded frames ``[B, T, N, D]``, ``[B, T]``; more than 1 is not to be relied on."""
        ...


class Energy(Protocol):
    """A scalar per candidate; lower is better."""

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Energies ``[B, S]`` of a trajectory."""
        ...


class GoalEnergy(Protocol):
    """An energy that asks where a path leads, not how it came about."""

    def __call__(self, trajectory: Futures) -> Tensor:
        """Energies ``[B, S]`` of paths."""
        ...


class Total(Protocol):
    """All that a search minimises, one term of which asks where a path leads."""

    def __call__(self, trajectory: Trajectory) -> tuple[Tensor, dict[str, Tensor]]:
        """Energies ``[B, S]``, and their terms by name, alike."""
        ...

    def to_go(self, futures: Futures) -> Tensor:
        """The term that asks where paths lead, ``[B, S]``."""
        ...

    def goal_alone(self) -> Total:
        """That term alone, for another world, which the others do not judge."""
        ...


class Referee(Protocol):
    """Says whether a search may leave what the policy prior would do."""

    def __call__(self, trajectory: Futures) -> Tensor:
        """What each candidate is sure to gain over the first, ``[B, S]``; leave for more than 0."""
        ...


class Uncertainty(Protocol):
    """How far the model is out of its depth, on a scale of its own; higher is worse."""

    def __call__(self, trajectory: Trajectory, /) -> Tensor:
        """One number per imagined step, ``[B, S, K]``."""
        ...


class Proposal(Protocol):
    """A policy prior: candidates to start the search from."""

    def __call__(
        self,
        latents: Tensor,
        states: Tensor,
        *,
        samples: int,
        horizon: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Candidates ``[B, samples, horizon, A]`` in physical units, for context as in ``rollout``.

        The first one is the prior's own choice, without noise: a cold search starts around it.
        Whatever is drawn is drawn once and shared by all episodes, as ``[samples, ...]``, so that
        a batch decides as its episodes would one by one.
        """
        ...
