import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from worldmodel.nn.attention import KeyValueCache
from worldmodel.nn.blocks import Block, fuse, initialise, normalise
from worldmodel.nn.rope import rotation_table


def test_normalised_latents_have_unit_scale_whatever_came_in() -> None:
    latents = normalise(5 + 3 * torch.randn(4, 7, 64))
    torch.testing.assert_close(latents.mean(-1), torch.zeros(4, 7), atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.var(-1, correction=0), torch.ones(4, 7), atol=1e-4, rtol=0)


def test_a_fresh_block_is_close_to_the_identity_and_later_ones_closer() -> None:
    torch.manual_seed(0)
    blocks = torch.nn.ModuleList(Block(32, 2) for _ in range(9))
    initialise(blocks, blocks)
    x, rotation = torch.randn(2, 4, 32), rotation_table(torch.zeros(4, 3), 16)
    with torch.no_grad():
        changes = [float((block(x, rotation) - x).norm() / x.norm()) for block in blocks]
    assert changes[0] < 0.1
    assert changes[8] < changes[0] / 2


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_gradients_the_same_comes_out_and_what_went_in_stays(
    dtype: torch.dtype, tiled: bool
) -> None:
    torch.manual_seed(0)
    block, x = Block(32, 2).to(dtype), torch.randn(2, 4, 32, dtype=dtype)
    rotation = rotation_table(torch.arange(12).view(4, 3), 16, tiled=tiled)
    with_gradients, before = block(x, rotation), x.clone()
    with torch.no_grad():
        torch.testing.assert_close(block(x, rotation), with_gradients)
    assert torch.equal(x, before)


@pytest.mark.slow
@pytest.mark.parametrize("tiled", [False, True])
def test_fused_it_computes_the_same_whatever_it_attends_to(tiled: bool) -> None:
    torch.manual_seed(0)
    block, x = Block(32, 2), torch.randn(2, 4, 32)
    rotation = rotation_table(torch.arange(12).view(4, 3), 16, tiled=tiled)
    causal = torch.ones(4, 4, dtype=torch.bool).tril()
    with torch.no_grad():
        exact = [block(x, rotation), block(x, rotation, causal)]
        twin = copy.deepcopy(block)
        fuse(torch.nn.ModuleList([block, twin]))
        torch._dynamo.reset()
        counters = torch._dynamo.utils.counters
        counters.clear()
        fused = [
            block(x, rotation),
            block(x, rotation, causal),
            twin(x, rotation, None, KeyValueCache(9)),
        ]
    torch.testing.assert_close(fused, [*exact, exact[0]])
    assert counters["stats"]["unique_graphs"] == 2, "one before and one behind attention"


def test_fused_its_operations_can_still_be_counted() -> None:
    block, x = Block(32, 2), torch.randn(2, 4, 32)
    rotation = rotation_table(torch.arange(12).view(4, 3), 16)
    counts = []
    for _ in range(2):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            block(x, rotation)
        counts.append(counter.get_total_flops())
        fuse(block)
    assert counts[0] == counts[1] > 0
