"""The searches over actions, by their settings."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from worldmodel.planners.optimizers.cem import CEM, CEMConfig
from worldmodel.planners.optimizers.cem_gradient import CEMGradient, CEMGradientConfig
from worldmodel.planners.optimizers.collocation import Collocation, CollocationConfig
from worldmodel.planners.optimizers.gradient import Gradient, GradientConfig
from worldmodel.planners.optimizers.icem import ICEM, ICEMConfig
from worldmodel.planners.optimizers.mppi import MPPI, MPPIConfig
from worldmodel.planners.optimizers.shooting import RandomShooting, RandomShootingConfig
from worldmodel.planners.optimizers.vjepa2_ac import VJEPA2AC, VJEPA2ACConfig
from worldmodel.planners.problem import Planner

__all__ = ["SearchConfig", "follows_gradients", "make_search", "search_name"]

SearchConfig = (
    CEMConfig
    | CEMGradientConfig
    | CollocationConfig
    | GradientConfig
    | ICEMConfig
    | MPPIConfig
    | RandomShootingConfig
    | VJEPA2ACConfig
)

_SEARCHES: dict[type, tuple[str, type[Any]]] = {
    CEMConfig: ("cem", CEM),
    CEMGradientConfig: ("cem_gradient", CEMGradient),
    CollocationConfig: ("collocation", Collocation),
    GradientConfig: ("gradient", Gradient),
    ICEMConfig: ("icem", ICEM),
    MPPIConfig: ("mppi", MPPI),
    RandomShootingConfig: ("shooting", RandomShooting),
    VJEPA2ACConfig: ("vjepa2_ac", VJEPA2AC),
}


def make_search(config: SearchConfig, low: Tensor, high: Tensor) -> Planner[Any]:
    """The planner that settings are of, within action bounds ``[A]`` in physical units."""
    planner: Planner[Any] = _SEARCHES[type(config)][1](config, low, high)
    return planner


def search_name(config: SearchConfig) -> str:
    """What the planner that settings are of is called, as in ``planner=…``."""
    return _SEARCHES[type(config)][0]


def follows_gradients(config: SearchConfig) -> bool:
    """Whether the planner that settings are of needs a world that gradients pass through."""
    return bool(getattr(_SEARCHES[type(config)][1], "gradients", False))
