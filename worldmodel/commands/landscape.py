"""``worldmodel landscape``: draw what a planner minimises."""

from worldmodel.diagnostics.landscape.actions import LandscapeConfig as Config
from worldmodel.diagnostics.landscape.actions import draw_landscape as run

__all__ = ["Config", "run"]
