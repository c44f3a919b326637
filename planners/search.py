"""What every search over candidates does alike: evaluate them, keep the best, stop in time.

Shapes: see ``planners.protocols``; I is the number of iterations that ran.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from planners.box import ActionBox, Start
from planners.problem import Plan, Problem
from planners.protocols import Trajectory
from planners.timing import Countdown, Stopwatch

__all__ = ["Population", "Search", "moments"]


class Population(NamedTuple):
    """Evaluated candidates: ``[B, S, H, A]``, ``[B, S]``, ``[B, S]`` per term.

    Energies that are not finite count as infinite.
    """

    actions: Tensor
    energy: Tensor
    terms: dict[str, Tensor]

    def lowest(self, count: int) -> Population:
        """Those of lowest energy, the lowest first."""
        energy, index = self.energy.topk(count, largest=False)
        return Population(
            self.actions.take_along_dim(index[:, :, None, None], 1),
            energy,
            {name: term.take_along_dim(index, 1) for name, term in self.terms.items()},
        )

    def detached(self) -> Population:
        """Without what gradients would need."""
        terms = {name: term.detach() for name, term in self.terms.items()}
        return Population(self.actions.detach(), self.energy.detach(), terms)

    def joined(self, other: Population) -> Population:
        """These and the others."""
        return Population(
            torch.cat([self.actions, other.actions], 1),
            torch.cat([self.energy, other.energy], 1),
            {name: torch.cat([term, other.terms[name]], 1) for name, term in self.terms.items()},
        )


class Starts(Protocol):
    """Settings of the sequences that gradients improve."""

    @property
    def samples(self) -> int:
        """How many."""
        ...

    @property
    def proposals(self) -> int:
        """How many of them to ask of the policy prior."""
        ...

    @property
    def std(self) -> float:
        """Spread around the first, as a share of half the action range."""
        ...


class Search:
    """One plan in the making.

    Args:
        problem: What to solve.
        start: Where the search begins.
        horizon: H, a multiple of the world's stride.
        deadline: A ``time.perf_counter()`` reading to return before.
        profile: Time the parts.

    Attributes:
        trajectory: What the candidates that were evaluated last were imagined to lead to.

    Raises:
        ValueError: Horizon or start do not fit the problem.
    """

    trajectory: Trajectory

    def __init__(
        self, problem: Problem, start: Start, horizon: int, deadline: float | None, profile: bool
    ) -> None:
        problem.check_horizon(horizon)
        if len(start.actions) != len(problem.latents):
            raise ValueError(
                f"Expected a planner state for {len(problem.latents)} episodes, got one for "
                f"{len(start.actions)}; make one with `init(batch={len(problem.latents)})`"
            )
        device = problem.latents.device
        self._problem = problem
        self._countdown, self.watch = Countdown(device, deadline), Stopwatch(device, profile)
        self._best: Population | None = None
        self._trace: list[Tensor] = []
        self._finite: list[Tensor] = []
        self._required: list[bool] = []
        self._evaluated = 0

    def rounds(self, iterations: int) -> Iterator[int]:
        """Numbers of the iterations that there is time for; the first always."""
        for iteration in range(iterations):
            if not self._countdown.allows_another():
                return
            yield iteration

    def propose(
        self, box: ActionBox, samples: int, horizon: int, generator: torch.Generator
    ) -> Tensor | None:
        """Candidates ``[B, samples, H, A]`` of the policy prior, or None without one."""
        problem = self._problem
        if problem.proposal is None or samples == 0:
            return None
        proposals = problem.proposal(
            problem.latents, problem.states, samples=samples, horizon=horizon, generator=generator
        )
        return box.clamp(proposals)

    @torch.no_grad()
    def starts(
        self,
        box: ActionBox,
        settings: Starts,
        start: Start,
        colour: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Sequences ``[B, samples, H, A]`` to improve: proposals, and noise around the first.

        Args:
            box: That they lie in.
            settings: How many, and how far apart.
            start: Where to begin if there is no proposal, or the last plan's rest is to be used.
            colour: Of the noise, ``[H, H]``.
            generator: Of the noise.
        """
        horizon = start.actions.shape[1]
        proposals = self.propose(box, settings.proposals, horizon, generator)
        first = start.actions if start.warm or proposals is None else proposals[:, 0]
        # Episodes share the noise, so that a batch decides as its episodes would one by one.
        shape = (settings.samples, *first.shape[1:])
        noise = torch.randn(shape, generator=generator, device=first.device, dtype=first.dtype)
        starts = first[:, None] + settings.std * box.half_range * (colour @ noise)
        starts[:, -1] = first
        if proposals is not None:
            starts[:, : proposals.shape[1]] = proposals
        return box.clamp(starts)

    def evaluate(self, candidates: Tensor, *, required: bool = True) -> Population:
        """The energies of one iteration's candidates; the best of all iterations is kept.

        Args:
            candidates: ``[B, S, H, A]``.
            required: Whether it is an error if none of an episode's is finite.
        """
        problem = self._problem
        self.watch.lap("update")
        self.trajectory = problem.world.rollout(problem.latents, problem.states, candidates)
        self.watch.lap("rollout")
        energy, terms = problem.energy(self.trajectory)
        self.watch.lap("energy")
        valid = torch.isfinite(energy)
        fresh = Population(candidates, energy.masked_fill(~valid, torch.inf), terms)
        leader = fresh.detached().lowest(1)
        self._best = leader if self._best is None else self._best.joined(leader).lowest(1)
        self._trace.append(self._best.energy[:, 0])
        self._finite.append(valid.sum(1))
        self._required.append(required)
        self._evaluated += energy.numel()
        return fresh

    def plan(self) -> Plan:
        """The best that was evaluated. Its count of failures is the only wait for the device.

        Raises:
            FloatingPointError: In some iteration no candidate of an episode had a finite energy.
        """
        assert self._best is not None
        finite = torch.stack(self._finite, 1).cpu()
        if failed := (finite[:, self._required] == 0).any(1).nonzero().flatten().tolist():
            raise FloatingPointError(
                f"No candidate of episodes {failed} had a finite energy in some iteration; look "
                "for NaN in the frames or states, or train the model on wider actions"
            )
        terms = {name: term[:, 0] for name, term in self._best.terms.items()}
        nonfinite = self._evaluated - int(finite.sum())
        self.watch.lap("update")
        return Plan(
            self._best.actions[:, 0],
            self._trace[-1],
            terms,
            torch.stack(self._trace, 1),
            nonfinite,
            self.watch.seconds,
        )


def moments(population: Population, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[B, H, A]`` of those whose energy is finite.

    Args:
        population: Some of it may be infinite, which does not vote.
        weights: ``[B, S]``; by default all alike.
    """
    vote = torch.isfinite(population.energy).to(population.actions.dtype)
    vote = (vote if weights is None else vote * weights)[:, :, None, None]
    vote = vote / vote.sum(1, keepdim=True).clamp(min=torch.finfo(vote.dtype).tiny)
    mean = (vote * population.actions).sum(1)
    variance = (vote * (population.actions - mean[:, None]).square()).sum(1)
    return mean, variance.sqrt()
