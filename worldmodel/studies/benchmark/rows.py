"""Who acts in a benchmark: the planner, variations of it, and other methods with their own worlds.

- ``planner``: this toolkit's, as configured.
- ``lewm``: LeWM in kind, planned as its authors do: CEM, 300 samples x 30 iterations, in its own
  latents.
- any of `worldmodel.evaluation.baselines`, such as ``prior``, ``random``, ``no_prior``: variations
  of the planner, in its world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worldmodel.errors import UserError, nearest
from worldmodel.evaluation.baselines import BASELINES

__all__ = ["PEERS", "PLANNER", "Peer", "known_row"]

PLANNER = "planner"


@dataclass(frozen=True)
class Peer:
    """Another method, which plans in a world of its own.

    Attributes:
        planner: By name.
        settings: Other settings of that planner.
        pursuit: Other settings of the task.
    """

    planner: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    pursuit: Mapping[str, Any] = field(default_factory=dict)


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

PEERS: Mapping[str, Peer] = {"lewm": Peer("cem", _PUBLISHED_CEM, _LATENT_DISTANCE)}
"""The other methods, by the row's name."""


def known_row(name: str) -> None:
    """Refuse what is no row.

    Raises:
        UserError: There is no such row.
    """
    known = (PLANNER, *PEERS, *BASELINES)
    if name not in known:
        raise UserError(f"unknown row '{name}'; {nearest(name, known)}")
