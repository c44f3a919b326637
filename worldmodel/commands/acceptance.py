"""``worldmodel acceptance``: does an uncertainty tell where the imagination errs?"""

from worldmodel.diagnostics.uncertainty import AcceptanceConfig as Config
from worldmodel.diagnostics.uncertainty import judge_uncertainty as run

__all__ = ["Config", "run"]
