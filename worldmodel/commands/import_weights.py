"""``worldmodel import``: released weights of V-JEPA 2, 2.1 or 2-AC as a checkpoint of ours."""

from worldmodel.weights.imports import ImportConfig as Config
from worldmodel.weights.imports import import_weights as run

__all__ = ["Config", "run"]
