"""``worldmodel diagnose``: what every goal energy knows of the true way to a goal."""

from worldmodel.diagnostics.goal_energies import DiagnoseConfig as Config
from worldmodel.diagnostics.goal_energies import diagnose as run

__all__ = ["Config", "run"]
