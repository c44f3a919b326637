"""``worldmodel collect``: record exploration episodes as a LeRobotDataset v3.0."""

from worldmodel.agents.collection import CollectConfig as Config
from worldmodel.agents.collection import run_collection as run

__all__ = ["Config", "run"]
