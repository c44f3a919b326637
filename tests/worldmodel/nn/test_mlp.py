"""Stacked perceptrons are perceptrons side by side."""

from __future__ import annotations

import torch
from torch import nn

from worldmodel.nn.mlp import StackedMLP, mlp


def test_each_member_computes_what_it_would_alone() -> None:
    torch.manual_seed(0)
    stacked, rows = StackedMLP(3, inputs=4, width=8, depth=2, outputs=2), torch.randn(3, 5, 4)
    together = stacked(rows)
    assert together.shape == (3, 5, 2)
    for member in range(3):
        alone = mlp(4, 8, 2, 2)
        layers = [layer for layer in alone if isinstance(layer, nn.Linear)]
        for layer, weight, bias in zip(layers, stacked.weights, stacked.biases, strict=True):
            layer.weight.data, layer.bias.data = weight.data[member].T, bias.data[member, 0]
        torch.testing.assert_close(alone(rows[member]), together[member])
