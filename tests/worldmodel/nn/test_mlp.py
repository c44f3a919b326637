"""Stacked perceptrons are perceptrons side by side."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from worldmodel.nn.mlp import StackedMLP, linear, mlp


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


def test_many_rows_are_computed_in_blocks_like_few() -> None:
    torch.manual_seed(0)
    stacked, rows = StackedMLP(2, inputs=4, width=8, depth=1, outputs=3), torch.randn(2, 700, 4)
    few = torch.cat([stacked(part) for part in rows.split(100, 1)], 1)
    torch.testing.assert_close(stacked(rows), few)


def test_fewer_rows_than_members_are_those_of_the_first() -> None:
    stacked, rows = StackedMLP(3, inputs=4, width=8, depth=1, outputs=2), torch.randn(1, 5, 4)
    torch.testing.assert_close(stacked(rows), stacked(rows.expand(3, -1, -1))[:1])


def test_weights_say_in_which_precision_to_compute_and_rows_in_which_to_answer() -> None:
    torch.manual_seed(0)
    for network in (mlp(4, 8, 1, 2), StackedMLP(2, inputs=4, width=8, depth=1, outputs=2)):
        rows = torch.randn(2, 5, 4)
        exact = network(rows)
        rounded = network.to(torch.bfloat16)(rows)
        assert rounded.dtype == torch.float32
        assert 0 < (rounded - exact).abs().max() < 0.05


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("inputs", "outputs"), [(0, 3), (3, 0)])
def test_nothing_comes_in_or_out_without_a_warning(inputs: int, outputs: int) -> None:
    assert mlp(inputs, 8, 1, outputs)(torch.zeros(2, inputs)).shape == (2, outputs)


def test_a_layer_draws_what_torch_draws() -> None:
    drawn = []
    for make in (linear, nn.Linear):
        torch.manual_seed(0)
        drawn.append(make(3, 2).weight)
    assert torch.equal(*drawn)
