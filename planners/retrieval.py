"""Sub-goals by retrieval: the shortest way to the goal over moments that were recorded.

Search on the replay buffer (Eysenbach et al., arXiv:1906.05253) with a learned distance: recorded
latents are the nodes of a graph, short distances its edges. Shortest ways to a goal are found once
per goal; a node some way ahead is the sub-goal.

Shapes: see ``planners.protocols``; R remembered moments, L links of each, G sub-goals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import NamedTuple

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.planners.hierarchical import Moments
from worldmodel.planners.optimizers.cem import CEMConfig
from worldmodel.planners.problem import Problem
from worldmodel.planners.settings import CHECKED, Count, Horizon, Multiple, Number

__all__ = ["Retrieval", "RetrievalConfig", "shortest_ways"]


@dataclass(frozen=True, config=CHECKED)
class RetrievalConfig:
    """Settings of the graph, and of the low level.

    Distances count imagined steps.

    Attributes:
        low_level: Search over actions, towards the next sub-goal.
        links: Nearest moments, by latent, that each moment and each goal may be linked with.
        longest: Distance above which two moments are not linked.
        ahead: Distance to the next sub-goal, and from each to the one after.
        subgoals: How many are told.
        replan_every: Fast plans between looks at the graph.
        near: Goal energy up to which the goal itself is pursued.
        towards: Energy towards a sub-goal, ``value`` or ``latent`` distance.
    """

    low_level: CEMConfig = field(default_factory=CEMConfig)
    links: Count = 32
    longest: Multiple = 5.0
    ahead: Multiple = 4.0
    subgoals: Horizon = 4
    replan_every: Count = 2
    near: Number = 4.0
    towards: str = "value"

    def __post_init__(self) -> None:
        if self.towards not in ("value", "latent"):
            raise ValueError(f"Expected towards value or latent, got '{self.towards}'")


class _Found(NamedTuple):
    """For a problem's energy: distances to its goals and next nodes, both ``[B, R + 1]``.

    The last node is the goal.
    """

    problem: object
    distance: Tensor
    onward: Tensor


class Retrieval:
    """The guide that looks sub-goals up; see ``planners.hierarchical.Guide``.

    Args:
        config: Settings of the graph.
        memory: The moments: latents ``[R, N, D]``, and states ``[R, P]`` in physical units.
        distance: Imagined steps from latents ``[..., N, D]`` to others alike, ``[...]``.
    """

    def __init__(
        self,
        config: RetrievalConfig,
        memory: Moments,
        distance: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        self._config, self._memory, self._distance = config, memory, distance
        self._neighbours, self._lengths = self._linked(memory.latents, among_themselves=True)

    def init(self, batch: int, after: _Found | None = None) -> _Found | None:
        """Nothing is known of the goals yet."""
        return None

    def shift(self, state: _Found | None, steps: int) -> _Found | None:
        """The ways stay as they are."""
        return state

    def look_ahead(
        self,
        problem: Problem,
        state: _Found | None,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
    ) -> tuple[Tensor, int, _Found]:
        """Look up; see ``Guide.look_ahead``. Where no way is known the goal is the sub-goal."""
        assert problem.goals is not None
        nonfinite = 0
        if state is None or state.problem is not problem.energy:
            state, nonfinite = self._find(problem)
        starts, reach = self._linked(problem.latents[:, -1])
        in_all, choice = (reach + state.distance.gather(1, starts)).min(1)
        goal = torch.full_like(choice, len(self._memory.latents))
        node = torch.where(in_all.isfinite(), starts.gather(1, choice[:, None])[:, 0], goal)

        # Every link is at least one imagined step long, so this many hops are always enough.
        path = [node]
        for _ in range(int(self._config.ahead * self._config.subgoals)):
            path.append(state.onward.gather(1, path[-1][:, None])[:, 0])
        nodes = torch.stack(path, 1)
        gone = in_all[:, None] - state.distance.gather(1, nodes)
        wanted = self._config.ahead * torch.arange(1, self._config.subgoals + 1, device=gone.device)
        # The first node as far as wanted, or the goal; without a way, infinities cancel to NaN.
        far = (gone[:, :, None] >= wanted) | (nodes == goal[:, None])[:, :, None]
        chosen = nodes.gather(1, far.int().argmax(1))

        known = self._memory.latents[chosen.clamp(max=len(self._memory.latents) - 1)]
        is_goal = (chosen == goal[:, None])[..., None, None]
        return torch.where(is_goal, problem.goals[:, None], known), nonfinite, state

    def _linked(self, latents: Tensor, *, among_themselves: bool = False) -> tuple[Tensor, Tensor]:
        """Moments within reach of latents ``[Q, N, D]``, and how far they are, ``[Q, L]`` each.

        Too far counts as infinite, and closer than one imagined step as one.
        """
        memory = self._memory.latents
        apart = torch.cdist(latents.flatten(1), memory.flatten(1))
        if among_themselves:
            apart.fill_diagonal_(torch.inf)
        near = apart.topk(min(self._config.links, len(memory)), largest=False).indices
        start = latents[:, None].expand(-1, near.shape[1], -1, -1)
        length = self._distance(start, memory[near])
        return near, length.masked_fill(~(length <= self._config.longest), torch.inf).clamp(min=1.0)

    def _find(self, problem: Problem) -> tuple[_Found, int]:
        """The ways to a problem's goals, and how many moments have no finite energy to them."""
        memory, batch = self._memory, len(problem.latents)
        moments = Moments(
            memory.latents[None, :, None].expand(batch, -1, -1, -1, -1),
            memory.states[None, :, None].expand(batch, -1, -1, -1),
        )
        energy = problem.energy.to_go(moments)
        nonfinite = int((~energy.isfinite()).sum())  # once a goal, and searching for ways waits too
        # The goal is linked with the nearest moments, however far these are.
        energy = energy.clamp(min=1.0).masked_fill(energy.isnan(), torch.inf)
        nearest = energy.topk(min(self._config.links, len(memory.latents)), largest=False)
        last = torch.full_like(energy, torch.inf).scatter(1, nearest.indices, nearest.values)
        ways = shortest_ways(self._neighbours, self._lengths, last)
        return _Found(problem.energy, *ways), nonfinite


def shortest_ways(neighbours: Tensor, lengths: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Shortest ways to goals: Bellman-Ford by min-plus products over the links, batched.

    Args:
        neighbours: Where the links of each node lead, ``[R, L]``.
        lengths: How long they are, positive or infinite, ``[R, L]``.
        last: From each node straight to the goal, ``[B, R]``.

    Returns:
        Distances to the goals and next nodes, ``[B, R + 1]`` each; node R is the goal, 0 from
        itself, and next wherever there is no way.
    """
    distance = last
    while True:
        through = lengths + distance[:, neighbours]
        shorter = torch.minimum(through.amin(2), last)
        if torch.equal(shorter, distance):
            break
        distance = shorter
    best, link = through.min(2)
    nodes = torch.arange(len(neighbours), device=link.device).expand_as(link)
    onward = torch.where(best < last, neighbours[nodes, link], len(neighbours))
    return (
        torch.cat([distance, torch.zeros_like(distance[:, :1])], 1),
        torch.cat([onward, torch.full_like(onward[:, :1], len(neighbours))], 1),
    )
