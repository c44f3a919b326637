"""Checkpoint folders, and released weights of V-JEPA 2 and LeWorldModel in every form they have."""

from worldmodel.weights.huggingface import export_vjepa2
from worldmodel.weights.lewm import load_lewm
from worldmodel.weights.vjepa2 import load_vjepa2, load_vjepa2_ac, load_vjepa2_masked_predictor

__all__ = [
    "export_vjepa2",
    "load_lewm",
    "load_vjepa2",
    "load_vjepa2_ac",
    "load_vjepa2_masked_predictor",
]
