"""Multilayer perceptrons, as the heads on planning latents are built."""

from __future__ import annotations

import warnings
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["MLP", "StackedMLP", "linear", "mlp"]

_ROWS = 256
"""Rows at once on a CPU: of more, batched products in float32 take up to twice as long per row."""


class MLP(nn.Sequential):
    """Layers that compute in the precision of their weights, whatever that of the rows."""

    def forward(self, rows: Tensor) -> Tensor:
        """Outputs ``[..., outputs]`` of inputs ``[..., inputs]``, in the precision of these."""
        outputs = rows.to(next(self.parameters()).dtype)
        for layer in self:
            outputs = layer(outputs)
        return outputs.to(rows.dtype)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer. There may be none of its inputs or outputs, as of a robot without states."""
    if inputs and outputs:
        return nn.Linear(inputs, outputs)
    with warnings.catch_warnings():  # torch warns of weights that there are none of
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")
        return nn.Linear(inputs, outputs)


def mlp(inputs: int, width: int, depth: int, outputs: int) -> MLP:
    """``depth`` hidden layers of layer norm and GELU, and a linear output."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [linear(inputs, width), nn.LayerNorm(width), nn.GELU()]
        inputs = width
    return MLP(*layers, linear(inputs, outputs))


class StackedMLP(nn.Module):
    """M perceptrons like `mlp`'s whose weights are stacked, so that all run in one batched product.

    Their layer norms scale nothing. They, too, compute in the precision of their weights.
    """

    def __init__(self, members: int, inputs: int, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        shapes = list(pairwise([inputs, *[width] * depth, outputs]))
        self.weights = nn.ParameterList(_uniform(members, i, i, o) for i, o in shapes)
        self.biases = nn.ParameterList(_uniform(members, i, 1, o) for i, o in shapes)
        # On a CPU a layer norm that scales by one takes half the time of one that does not scale.
        self.ones: Tensor
        self.zeros: Tensor
        self.register_buffer("ones", torch.ones(width), persistent=False)
        self.register_buffer("zeros", torch.zeros(width), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Outputs ``[M, R, outputs]`` of inputs ``[M, R, inputs]``; of fewer, the first ones'."""
        dtype = self.weights[0].dtype
        if rows.device.type != "cpu" or rows.shape[1] <= _ROWS:
            return self._outputs(rows.to(dtype)).to(rows.dtype)
        even = rows.chunk(-(-rows.shape[1] // _ROWS), 1)
        blocks = [self._outputs(block.to(dtype)) for block in even]
        return torch.cat(blocks, 1).to(rows.dtype)

    def _outputs(self, rows: Tensor) -> Tensor:
        last, count = len(self.weights) - 1, len(rows)
        ones, zeros = self.ones.to(rows.dtype), self.zeros.to(rows.dtype)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            rows = torch.baddbmm(bias[:count], rows, weight[:count])
            if layer < last:
                rows = nn.functional.layer_norm(rows, ones.shape, ones, zeros)
                # In place where gradients do not need what it was.
                keep = torch.is_grad_enabled()
                rows = nn.functional.gelu(rows) if keep else torch.ops.aten.gelu_(rows)
        return rows


def _uniform(members: int, fan_in: int, rows: int, columns: int) -> nn.Parameter:
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(members, rows, columns).uniform_(-bound, bound))
