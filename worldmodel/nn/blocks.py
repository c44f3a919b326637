"""Pre-norm transformer blocks shared by the encoder and both predictors (V-JEPA 2 names)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache as once

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.nn.attention import Attention, KeyValueCache, attend
from worldmodel.nn.replay import observed
from worldmodel.nn.rope import Rotation

__all__ = ["NORM_EPS", "Block", "Mlp", "fuse", "initialise", "normalise"]

NORM_EPS = 1e-6
"""Epsilon of the affine layer norms of V-JEPA 2."""


def normalise(latents: Tensor) -> Tensor:
    """Layer norm without affine over the last axis: the form in which latents are compared."""
    return F.layer_norm(latents, latents.shape[-1:])


_HALF = (torch.bfloat16, torch.float16)
_SIZES = 64  # of blocks and populations that one process may compile for


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        if torch.is_grad_enabled():
            return self.fc2(F.gelu(self.fc1(x)))
        half = x.dtype in _HALF and self.fc1.weight.dtype == x.dtype
        if half and x.device.type == "cuda" and not observed():
            return self.fc2(_gelu_of_product(x, self.fc1))
        # The widest activations of all take memory once where gradients do not need them.
        return self.fc2(torch.ops.aten.gelu_(self.fc1(x)))


def _gelu_of_product(x: Tensor, layer: nn.Linear) -> Tensor:
    """GELU within the matrix product: the widest activations are written once, and not read again.

    It is the tanh form, which is up to 5e-4 off, less than bfloat16 rounds the larger ones by.
    """
    rows = x.flatten(0, -2)
    out = torch._addmm_activation(layer.bias, rows, layer.weight.t(), use_gelu=True)
    return out.unflatten(0, x.shape[:-1])


class Block(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``.

    Attributes:
        fused: Run what lies before and behind attention as ``torch.compile`` makes it: for seconds
            at first, norms, rotation, GELU and sums each pass over memory once. All blocks of a
            size share it, whatever they attend to.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, round(width * mlp_ratio))
        self.fused = False

    def forward(
        self,
        x: Tensor,
        rotation: Rotation,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Tokens ``[B, n, width]`` to tokens of the same shape.

        Args:
            x: Tokens.
            rotation: Rotary table of these tokens.
            mask: Boolean ``[n, keys]``, True where attention is allowed; None allows all.
            cache: Past keys and values; extended in place by these tokens.
        """
        fused = self.fused and not observed()
        before, behind = _compiled_halves() if fused else (_before, _behind)
        queries, keys, values = before(self, x, rotation)
        return behind(self, x, attend(queries, keys, values, mask, cache))


def fuse(model: nn.Module) -> None:
    """Have all blocks of a model fused; see ``Block.fused``."""
    for module in model.modules():
        if isinstance(module, Block):
            module.fused = True


def _before(block: Block, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
    return block.attn.project(block.norm1(x), rotation)


def _behind(block: Block, x: Tensor, attended: Tensor) -> Tensor:
    x = x + block.attn.proj(attended)
    return x + block.mlp(block.norm2(x))


_Before = Callable[[Block, Tensor, Rotation], tuple[Tensor, Tensor, Tensor]]
_Behind = Callable[[Block, Tensor, Tensor], Tensor]


@once
def _compiled_halves() -> tuple[_Before, _Behind]:
    from torch._dynamo import config as limits  # takes a second, and most never compile

    limits.recompile_limit = max(limits.recompile_limit, _SIZES)
    return torch.compile(_before), torch.compile(_behind)


def initialise(model: nn.Module, blocks: nn.ModuleList) -> None:
    """V-JEPA 2 initialisation: truncated normal 0.02, residual branches damped with depth."""
    if any(weight.is_meta for weight in model.parameters()):
        return  # nothing to fill, and PyTorch would load its compiler, which takes a second
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv3d)):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for depth, block in enumerate(blocks, start=1):
        assert isinstance(block, Block)
        for residual in (block.attn.proj, block.mlp.fc2):
            residual.weight.data.div_(math.sqrt(2.0 * depth))
