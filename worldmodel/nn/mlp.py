"""Multilayer perceptrons, as the heads on planning latents are built."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["StackedMLP", "mlp"]


def mlp(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    """``depth`` hidden layers of layer norm and GELU, and a linear output."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.GELU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class StackedMLP(nn.Module):
    """M perceptrons like `mlp`'s whose weights are stacked, so that all run in one batched product.

    Their layer norms scale nothing.
    """

    def __init__(self, members: int, inputs: int, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        shapes = list(pairwise([inputs, *[width] * depth, outputs]))
        self.weights = nn.ParameterList(_uniform(members, i, i, o) for i, o in shapes)
        self.biases = nn.ParameterList(_uniform(members, i, 1, o) for i, o in shapes)

    def forward(self, rows: Tensor) -> Tensor:
        """Outputs ``[M, R, outputs]`` of inputs ``[M, R, inputs]``; of fewer, the first ones'."""
        last, count = len(self.weights) - 1, len(rows)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            rows = torch.baddbmm(bias[:count], rows, weight[:count])
            if layer < last:
                rows = nn.functional.gelu(nn.functional.layer_norm(rows, rows.shape[-1:]))
        return rows


def _uniform(members: int, fan_in: int, rows: int, columns: int) -> nn.Parameter:
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(members, rows, columns).uniform_(-bound, bound))
