"""``worldmodel subgoals``: draw the sub-goals of a planner on two time scales."""

from worldmodel.diagnostics.subgoals import SubgoalsConfig as Config
from worldmodel.diagnostics.subgoals import draw_subgoals as run

__all__ = ["Config", "run"]
