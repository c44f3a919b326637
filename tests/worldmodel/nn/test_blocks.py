import pytest
import torch

from worldmodel.nn.blocks import Block, initialise, normalise
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
