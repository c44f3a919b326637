"""What a planner is given, what it gives back, and what every planner offers.

Shapes: see ``planners.protocols``; I is the number of iterations that ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from worldmodel.planners.compiled import compiled_judge, compiled_rollout
from worldmodel.planners.protocols import Proposal, Referee, Total, Trajectory, World

__all__ = ["Objective", "Plan", "Planner", "Problem", "SubgoalPlan", "count_nonfinite"]


class Objective(NamedTuple):
    """What to minimise for a goal, the policy prior for it, and who may leave it, if any."""

    energy: Total
    proposal: Proposal | None = None
    referee: Referee | None = None


@dataclass(frozen=True)
class Problem:
    """B episodes to plan for, all at once.

    Attributes:
        world: The world model to imagine with.
        latents: Context latents, ``[B, T, N, D]``.
        states: Context states, ``[B, T, P]``, physical units.
        energy: What to minimise.
        proposal: A policy prior whose candidates join the first population, or None.
        goals: Latents of the goals, ``[B, N, D]``, for planners that look for a way there; None
            where they are known by their energy alone.
        committed: What is done while the plan is made, ``[B, d, A]``: every candidate begins with
            it, as it is. None where the world waits.
        compiled: Imagine and judge with what ``torch.compile`` made of world and energy.
        referee: Has the plan be the prior's own choice unless another is sure to gain; None to take
            what is of lowest energy.
    """

    world: World
    latents: Tensor
    states: Tensor
    energy: Total
    proposal: Proposal | None = None
    goals: Tensor | None = None
    committed: Tensor | None = None
    compiled: bool = False
    referee: Referee | None = None

    def __post_init__(self) -> None:
        if self.latents.ndim != 4 or self.states.ndim != 3:
            raise ValueError(
                "Expected context latents [B,T,N,D] and states [B,T,P], got "
                f"{list(self.latents.shape)} and {list(self.states.shape)}; "
                "add the time axis with `x[:, None]` for a single frame"
            )
        if self.latents.shape[:2] != self.states.shape[:2]:
            raise ValueError(
                "Expected latents and states of the same episodes and frames, got "
                f"{list(self.latents.shape)} and {list(self.states.shape)}"
            )
        frame = (self.latents.shape[0], *self.latents.shape[2:])
        if self.goals is not None and self.goals.shape != frame:
            raise ValueError(
                f"Expected goal latents [B,N,D] = {list(frame)}, as those of a context frame, got "
                f"{list(self.goals.shape)}; encode goals with the world that plans"
            )
        if self.committed is not None and (
            self.committed.ndim != 3 or len(self.committed) != frame[0]
        ):
            raise ValueError(
                f"Expected what is committed as [B,d,A] of {frame[0]} episodes, got "
                f"{list(self.committed.shape)}"
            )

    def imagine(self, candidates: Tensor) -> Trajectory:
        """What candidates ``[B, S, H, A]`` lead to."""
        context = (self.latents, self.states, candidates)
        if self.compiled:
            return compiled_rollout(self.world)(self.world, *context)
        return self.world.rollout(*context)

    def judge(self, trajectory: Trajectory) -> tuple[Tensor, dict[str, Tensor]]:
        """Its energies ``[B, S]``, and their terms by name, alike."""
        if self.compiled:
            return compiled_judge(self.world)(self.energy, trajectory)
        return self.energy(trajectory)

    def begin(self, candidates: Tensor) -> Tensor:
        """Candidates ``[B, S, H, A]`` that begin with what is done in the meantime."""
        if self.committed is None:
            return candidates
        steps = min(self.committed.shape[1], candidates.shape[2])
        committed = self.committed[:, None, :steps].expand(-1, candidates.shape[1], -1, -1)
        return torch.cat([committed, candidates[:, :, steps:]], 2)

    def check_horizon(self, horizon: int) -> None:
        """Raise a ValueError where the world cannot imagine exactly so many control steps."""
        if horizon % self.world.stride:
            raise ValueError(
                f"Expected a horizon that is a multiple of the world's stride of "
                f"{self.world.stride} control steps, got {horizon}"
            )


def count_nonfinite(
    finite: Tensor,
    evaluated: int,
    required: Sequence[bool] | None = None,
    lost: Tensor | None = None,
) -> int:
    """Candidates of a plan without a finite energy, and proposals that were not finite.

    It waits for the device if they are on one, once.

    Args:
        finite: How many had one, ``[B, I]``.
        evaluated: Candidates, over all episodes and iterations.
        required: For each iteration, whether every episode needs one; by default in all.
        lost: How many proposals of the policy prior were not finite, ``[B]``; None for none.

    Raises:
        FloatingPointError: In one of these no candidate of an episode had one.
    """
    lost = finite.new_zeros(len(finite)) if lost is None else lost
    together = torch.cat([finite, lost[:, None]], 1).cpu()
    finite, lost = together[:, :-1], together[:, -1]
    needed = finite if required is None else finite[:, list(required)]
    if failed := (needed == 0).any(1).nonzero().flatten().tolist():
        raise FloatingPointError(
            f"No candidate of episodes {failed} had a finite energy in some iteration; look "
            "for NaN in the frames, the states or an energy of your own, or train the model on "
            "wider actions"
        )
    return evaluated - int(finite.sum()) + int(lost.sum())


@dataclass(frozen=True)
class SubgoalPlan:
    """Sub-goals that a planner on two time scales has set itself.

    Attributes:
        latents: Sub-goals in order, ``[B, G, N, D]``; the first is the one to pursue.
        energies: Goal energy of each, ``[B, G]``: what is left to go from there.
        direct: Episodes ``[B]`` that pursue their goal itself instead, being near it.
    """

    latents: Tensor
    energies: Tensor
    direct: Tensor


@dataclass(frozen=True)
class Plan:
    """The best action sequence that was evaluated, for each episode.

    Attributes:
        actions: ``[B, H, A]``, physical units, within the action bounds but for what was committed.
        energy: Its total energy, ``[B]``.
        breakdown: Its energy per term, ``[B]`` each.
        trace: Lowest energy known after each iteration, ``[B, I]``; it never rises. Without an
            iteration before the deadline, I is 0 and the energy is infinite.
        nonfinite: Candidates whose energy was NaN or infinite, and proposals of the policy prior
            that were so themselves, over all episodes and iterations.
        timings: Seconds spent per part of the search; empty unless profiled.
        subgoals: Those that it pursues, if it has any.
    """

    actions: Tensor
    energy: Tensor
    breakdown: dict[str, Tensor]
    trace: Tensor
    nonfinite: int
    timings: dict[str, float] = field(default_factory=dict[str, float])
    subgoals: SubgoalPlan | None = None


StateT = TypeVar("StateT")


class Planner(Protocol[StateT]):
    """Search over action sequences. All that lasts between plans is in the state it hands back."""

    @property
    def receding_horizon(self) -> int:
        """Steps of a plan to carry out before planning again."""
        ...

    def init(self, batch: int, after: StateT | None = None) -> StateT:
        """The state before the first plan of ``batch`` episodes.

        Args:
            batch: How many.
            after: A state of as many other episodes, of which one thing is kept: how long plans
                take, which only deadlines ask.
        """
        ...

    def plan(
        self,
        problem: Problem,
        state: StateT,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
        profile: bool = False,
    ) -> tuple[Plan, StateT]:
        """Search.

        Args:
            problem: What to solve.
            state: From ``init``, or the last plan's after ``shift``.
            generator: Source of all randomness, on the device of the latents.
            deadline: A ``time.perf_counter()`` reading to return before. Where not even one
                iteration fits, as far as is known, the plan is where a search would have started:
                the rest of the last one, or what the policy prior would do.
            profile: Fill ``Plan.timings``; on an accelerator this adds a synchronisation per part.

        Raises:
            FloatingPointError: In some iteration no candidate of an episode had a finite energy.
        """
        ...

    def shift(self, state: StateT, steps: int) -> StateT:
        """The state to warm-start from once ``steps`` actions of the plan have been executed."""
        ...
