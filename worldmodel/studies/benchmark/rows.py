"""Who acts in a benchmark: the planner, variations of it, and other methods with their own worlds.

- ``planner``: this toolkit's, as configured.
- ``lewm``: LeWM in kind, planned as its authors do: CEM, 300 samples x 30 iterations, in its own
  latents.
- ``dino_wm``: a token world on a frozen encoder (DINO-WM, arXiv:2411.04983, section 3), with its
  CEM of 300 samples; 10 iterations where the paper has 30, for two cores.
- ``inverse``: the inverse model of LeWM's checkpoint (GC-IDM, arXiv:2605.08732), without a search.
  It is told how far the goal is, as the benchmark's rules say it; a planner is not.
- any of `worldmodel.evaluation.baselines`, such as ``prior``, ``random``, ``no_prior``: variations
  of the planner, in its world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from worldmodel.agents.agent import Recipe
from worldmodel.agents.inverse import inverse_agent
from worldmodel.agents.policies import Policy
from worldmodel.errors import UserError, nearest
from worldmodel.evaluation.baselines import BASELINES
from worldmodel.evaluation.pairs import AHEAD

__all__ = ["PEERS", "PLANNER", "Peer", "known_row"]

PLANNER = "planner"


@dataclass(frozen=True)
class Peer:
    """Another method, which acts in a world of its own.

    Attributes:
        world: Whose: a key of ``peers``.
        settings: Of the planner, other than usual.
        pursuit: Of the task, other than usual.
        planner: By name.
        policy: Who decides instead of the planner; None for the planner.
        needs_ahead: Whether it has to be told how far goals are.
    """

    world: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    pursuit: Mapping[str, Any] = field(default_factory=dict)
    planner: str = "cem"
    policy: Callable[[Recipe], Policy] | None = None
    needs_ahead: bool = False


_PUBLISHED_CEM = {
    "samples": 300,
    "iterations": 30,
    "elites": 30,
    "min_std": 0.0,
    "correlation": 0.0,
}
_LATENT_DISTANCE = {
    "energy": "latent",
    "metric": "l2",
    "reduce": "final",
    "world_energy": (),
    "prior": False,
    "margin": None,
    "receding_horizon": 5,
    "search_std": 0.45,  # of half the range of actions, as the data spread
}


def _inverse(recipe: Recipe) -> Policy:
    """The inverse model, told the distance of the goal."""
    ahead = -(-AHEAD // recipe.spec.repeat)
    return inverse_agent(recipe.world, recipe.task, recipe.bounds, ahead)


PEERS: Mapping[str, Peer] = {
    "lewm": Peer("lewm", _PUBLISHED_CEM, _LATENT_DISTANCE),
    "dino_wm": Peer("dino_wm", {**_PUBLISHED_CEM, "iterations": 10}, _LATENT_DISTANCE),
    "inverse": Peer("lewm", pursuit=_LATENT_DISTANCE, policy=_inverse, needs_ahead=True),
}
"""The other methods, by the row's name."""


def known_row(name: str) -> None:
    """Refuse what is no row.

    Raises:
        UserError: There is no such row.
    """
    known = (PLANNER, *PEERS, *BASELINES)
    if name not in known:
        raise UserError(f"unknown row '{name}'; {nearest(name, known)}")
