"""``worldmodel convert``: recordings of other layouts as a LeRobotDataset v3.0."""

from worldmodel.data.conversion import ConvertConfig as Config
from worldmodel.data.conversion import run_conversion as run

__all__ = ["Config", "run"]
