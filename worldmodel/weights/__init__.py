"""Checkpoint folders, and the released weights of V-JEPA 2 in every form they come in."""

from worldmodel.weights.huggingface import export_vjepa2
from worldmodel.weights.vjepa2 import load_vjepa2, load_vjepa2_ac, load_vjepa2_masked_predictor

__all__ = ["export_vjepa2", "load_vjepa2", "load_vjepa2_ac", "load_vjepa2_masked_predictor"]
