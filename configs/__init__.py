"""Hydra configuration: one YAML per command and one group per swappable part."""
