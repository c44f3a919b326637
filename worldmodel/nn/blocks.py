"""Pre-norm transformer blocks shared by the encoder and both predictors (V-JEPA 2 names)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.nn.attention import Attention, KeyValueCache
from worldmodel.nn.rope import Rotation

__all__ = ["NORM_EPS", "Block", "Mlp", "initialise", "normalise"]

NORM_EPS = 1e-6
"""Epsilon of the affine layer norms of V-JEPA 2."""


def normalise(latents: Tensor) -> Tensor:
    """Layer norm without affine over the last axis: the form in which latents are compared."""
    return F.layer_norm(latents, latents.shape[-1:])


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        hidden = self.fc1(x)
        # The widest activations of all take memory once where gradients do not need them.
        return self.fc2(F.gelu(hidden) if torch.is_grad_enabled() else torch.ops.aten.gelu_(hidden))


class Block(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``."""

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, round(width * mlp_ratio))

    def forward(
        self,
        x: Tensor,
        rotation: Rotation,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Tokens ``[B, n, width]`` to tokens of the same shape; see ``Attention.forward``."""
        x = x + self.attn(self.norm1(x), rotation, mask, cache)
        return x + self.mlp(self.norm2(x))


def initialise(model: nn.Module, blocks: nn.ModuleList) -> None:
    """V-JEPA 2 initialisation: truncated normal 0.02, residual branches damped with depth."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv3d)):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for depth, block in enumerate(blocks, start=1):
        assert isinstance(block, Block)
        for residual in (block.attn.proj, block.mlp.fc2):
            residual.weight.data.div_(math.sqrt(2.0 * depth))
