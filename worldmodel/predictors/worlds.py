"""The kinds of worlds that a checkpoint may hold; planners know none of them by name."""

from __future__ import annotations

from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.vector_world import VectorWorld

__all__ = ["AnyWorld"]

AnyWorld = VectorWorld | TokenWorld | LewmWorld
"""Any of them; ``isinstance`` takes it, too."""
