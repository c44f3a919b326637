"""The head between a transformer and latents that SIGReg shapes.

Batch norm stands before the last layer: layer norm would hold every latent to one length, which
SIGReg could not undo (LeWorldModel, arXiv:2603.19312, section 3).
"""

from __future__ import annotations

from torch import nn

__all__ = ["projection"]


def projection(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """A linear layer, batch norm, GELU and a linear layer, for rows ``[R, inputs]``."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.GELU(), nn.Linear(hidden, outputs)
    )
