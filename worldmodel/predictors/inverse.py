"""The action block that a goal asks for, from latents alone: control without a search.

GC-IDM ("Latent Geometry Beyond Search", arXiv:2605.08732): a perceptron on the frozen latents of
LeWorldModel takes the present latent, the goal's and the horizon that is left, and gives the next
block of actions. Its layers are those of our other heads, and the horizon is one-hot.

Shapes: R rows, D latent, A action.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.nn.mlp import mlp

__all__ = ["InverseModel"]

_DEPTH = 3


class InverseModel(nn.Module):
    """Latents of a frame and of a goal to the block of actions between that comes first.

    Args:
        latent: D.
        block: Numbers of a block, stride times A.
        width: Of its hidden layers.
        ahead: Imagined steps that a goal may be away; a goal further off counts as so far.

    Attributes:
        trained: Whether it was, on the latents of this world; a buffer.
    """

    def __init__(self, latent: int, block: int, width: int, ahead: int) -> None:
        super().__init__()
        self.ahead = ahead
        self.trained: Tensor
        self.register_buffer("trained", torch.tensor(False))
        self.block = mlp(2 * latent + ahead, width, _DEPTH, block)

    def forward(self, latents: Tensor, goals: Tensor, left: Tensor) -> Tensor:
        """Scaled actions ``[R, stride * A]``.

        Args:
            latents: Of the present frames, ``[R, D]``.
            goals: Of the goals, ``[R, D]``.
            left: Imagined steps until the goal, whole numbers from 1 on, ``[R]``.
        """
        horizon = F.one_hot(left.clamp(1, self.ahead) - 1, self.ahead).to(latents.dtype)
        actions: Tensor = self.block(torch.cat([latents, goals, horizon], -1))
        return actions
