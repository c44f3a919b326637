"""What every search over candidates does alike: evaluate them, keep the best, stop in time.

Shapes: see ``planners.protocols``; I is the number of iterations that ran.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from worldmodel.planners.box import ActionBox, Start
from worldmodel.planners.problem import Plan, Problem, count_nonfinite
from worldmodel.planners.protocols import Trajectory
from worldmodel.planners.timing import Countdown, Pace, Stopwatch

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


class Search:
    """One plan in the making.

    Args:
        problem: What to solve; an attribute as well.
        box: Where actions may lie.
        start: What the last plan left, where there was one.
        follow: Begin from the rest of the last plan, not from what the policy prior would do now.
        proposals: Candidates to ask of the policy prior, if there is one. Where there is no time to
            search, one is asked, unless the last plan is followed.
        generator: Of all noise.
        deadline: A ``time.perf_counter()`` reading to return before.
        profile: Time the parts.

    Attributes:
        first: The sequence to begin around, ``[B, H, A]``.
        proposals: Of the policy prior, ``[B, proposals, H, A]``, its own choice first; or None.
        kept: Further sequences to try, ``[B, n, H, A]``.
        fallback: What is left to the next plan, and done, if no iteration runs.
        trajectory: What the candidates that were evaluated last were imagined to lead to.
        watch: What timings are kept with.

    Raises:
        ValueError: Start and problem do not fit each other.
    """

    trajectory: Trajectory

    def __init__(
        self,
        problem: Problem,
        box: ActionBox,
        start: Start,
        follow: bool,
        proposals: int,
        generator: torch.Generator,
        deadline: float | None,
        profile: bool,
    ) -> None:
        problem.check_horizon(start.actions.shape[1])
        if len(start.actions) != len(problem.latents):
            raise ValueError(
                f"Expected a planner state for {len(problem.latents)} episodes, got one for "
                f"{len(start.actions)}; make one with `init(batch={len(problem.latents)})`"
            )
        device = problem.latents.device
        self.problem, self._box, self._generator = problem, box, generator
        closing = int(problem.referee is not None)  # what is found is weighed once more
        self._countdown = Countdown(device, deadline, start.pace, closing)
        self._worthwhile = self._countdown.allows_search()
        self.watch = Stopwatch(device, profile)
        self._best: Population | None = None
        self._trace: list[Tensor] = []
        self._finite: list[Tensor] = []
        self._required: list[bool] = []
        self._evaluated = 0
        self.kept = start.kept if follow else start.kept[:, :0]
        following = follow and start.searched > 0
        self.proposals: Tensor | None = None
        self._lost: Tensor | None = None  # proposals of each episode that were not finite
        if self._worthwhile:
            self.proposals = self._propose(proposals, start.actions.shape[1])
        elif not following and self._countdown.allows_asking():
            self.proposals = self._propose(min(proposals, 1), start.actions.shape[1])
            self._countdown.asked()
        self.fallback = start
        if following:
            self.first = start.actions
        elif self.proposals is not None:
            self.first = self.proposals[:, 0]
            self.fallback = start._replace(actions=self.first, searched=0)
        else:
            self.first = box.cold(*start.actions.shape[:2]).actions
        self.watch.lap("proposal")

    def rounds(self, iterations: int) -> Iterator[int]:
        """Numbers of the iterations that there is time for; maybe of none."""
        if not self._worthwhile:
            return
        self._countdown.begin()
        for iteration in range(iterations):
            if not self._countdown.allows_another():
                return
            yield iteration
        self._countdown.allows_another()  # notes what the last one took

    def noise(self, samples: int, colour: Tensor) -> Tensor:
        """Standard normal noise ``[samples, H, A]``, correlated by a matrix ``[H, H]``.

        Episodes share it, so that a batch decides as its episodes would one by one.
        """
        return colour @ self.normal(samples, *self.first.shape[1:])

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        like = self.first
        return torch.randn(shape, generator=self._generator, device=like.device, dtype=like.dtype)

    def uniform(self, samples: int) -> Tensor:
        """Uniform noise ``[samples, H, A]`` between 0 and 1, shared likewise."""
        shape, like = (samples, *self.first.shape[1:]), self.first
        return torch.rand(shape, generator=self._generator, device=like.device, dtype=like.dtype)

    def around(self, centre: Tensor, std: Tensor, noise: Tensor, *, proposals: bool) -> Tensor:
        """Candidates ``[B, S, H, A]`` around a centre, which is the last of them.

        Args:
            centre: ``[B, H, A]``.
            std: Standard deviation, that of the centre's shape or fewer axes.
            noise: Standard normal, ``[S, H, A]``.
            proposals: Put those of the policy prior first, if there are any.
        """
        candidates = centre[:, None] + std.expand_as(centre)[:, None] * noise
        if proposals and self.proposals is not None:
            candidates[:, : self.proposals.shape[1]] = self.proposals
        candidates[:, -1] = centre  # also where proposals fill the population
        return candidates

    def evaluate(self, candidates: Tensor, *, required: bool = True) -> Population:
        """The energies of one iteration's candidates; the best of all iterations is kept.

        Args:
            candidates: ``[B, S, H, A]``; what leaves the box is put back to its sides, and what the
                problem has begun they begin with.
            required: Whether it is an error if none of an episode's is finite.
        """
        problem = self.problem
        candidates = problem.begin(self._box.clamp(candidates))
        self.watch.lap("update")
        self.trajectory = problem.imagine(candidates)
        self.watch.lap("rollout")
        energy, terms = problem.judge(self.trajectory)
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

    @property
    def pace(self) -> Pace:
        """What the next search is to know of the time that this one took."""
        return self._countdown.pace

    def plan(self) -> Plan:
        """The best that was evaluated. Its count of failures is the only wait for the device.

        Among them are the policy prior's proposals that were not finite, and were put to rest.

        Without time for a single iteration it is the fallback: where the search was to start, that
        is what is left of the last plan that was searched or what the prior would do now, as
        settings have it; the rest of whatever plan came last, where there was no time to ask the
        prior. The plan says so: it has no trace, and infinite energy.

        Raises:
            FloatingPointError: In some iteration no candidate of an episode had a finite energy.
        """
        if self._best is None:
            rest = self.problem.begin(self._box.clamp(self.fallback.actions)[:, None])[:, 0]
            unknown = rest.new_full((len(rest),), torch.inf)
            lost = 0 if self._lost is None else int(self._lost.sum())
            return Plan(rest, unknown, {}, unknown[:, None][:, :0], lost)
        best = self._best if self.problem.referee is None else self._settled(self._best)
        finite = torch.stack(self._finite, 1)
        nonfinite = count_nonfinite(finite, self._evaluated, self._required, self._lost)
        terms = {name: term[:, 0] for name, term in best.terms.items()}
        self.watch.lap("update")
        return Plan(
            best.actions[:, 0],
            best.energy[:, 0],
            terms,
            torch.stack(self._trace, 1),
            nonfinite,
            self.watch.seconds,
        )

    def _settled(self, best: Population) -> Population:
        """The best, if it is sure to gain over the policy prior's own choice; else that choice."""
        referee = self.problem.referee
        if self.proposals is None or referee is None:
            return best
        own = self.problem.begin(self.proposals[:, :1])
        both = torch.cat([own, best.actions], 1)
        trajectory = self.problem.imagine(both)
        energy, terms = self.problem.judge(trajectory)
        leave = (referee(trajectory)[:, 1:] > 0).long()
        kept = Population(both, energy, terms)
        return Population(
            kept.actions.take_along_dim(leave[:, :, None, None], 1),
            kept.energy.take_along_dim(leave, 1),
            {name: term.take_along_dim(leave, 1) for name, term in terms.items()},
        )

    def _propose(self, samples: int, horizon: int) -> Tensor | None:
        problem = self.problem
        if problem.proposal is None or samples == 0:
            return None
        proposals = problem.proposal(
            problem.latents,
            problem.states,
            samples=samples,
            horizon=horizon,
            generator=self._generator,
        )
        proposals = proposals.detach()
        self._lost = (~proposals.isfinite().all(-1).all(-1)).sum(1)
        # A search may end before it judges them.
        return self._box.clamp(proposals.nan_to_num(0.0, 0.0, 0.0))


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
