import pytest
import torch

from worldmodel.nn.attention import Attention, KeyValueCache, attend
from worldmodel.nn.rope import Rotation, rotation_table


def table(tokens: int, start: int = 0) -> Rotation:
    times = torch.arange(start, start + tokens)
    return rotation_table(torch.stack((times, times * 0, times * 0), -1), 8)


def attended(
    layers: Attention,
    x: torch.Tensor,
    rotation: Rotation,
    mask: torch.Tensor | None = None,
    cache: KeyValueCache | None = None,
) -> torch.Tensor:
    return layers.proj(attend(*layers.project(x, rotation), mask=mask, cache=cache))


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("room", [0, 3, 5])
def test_cached_attention_equals_causal_attention(room: int, gradients: bool) -> None:
    torch.manual_seed(0)
    attention, x = Attention(16, 2), torch.randn(3, 5, 16)
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    whole = attended(attention, x, table(5), causal)
    cache = KeyValueCache(room)
    with torch.set_grad_enabled(gradients):
        parts = [attended(attention, x[:, t : t + 1], table(1, t), cache=cache) for t in range(5)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-6, rtol=1e-5)


def test_gradients_pass_through_a_cache() -> None:
    torch.manual_seed(0)
    attention, x = Attention(16, 2), torch.randn(3, 4, 16, requires_grad=True)
    causal = torch.ones(4, 4, dtype=torch.bool).tril()
    (expected,) = torch.autograd.grad(attended(attention, x, table(4), causal).square().sum(), x)
    cache = KeyValueCache(4)
    parts = [attended(attention, x[:, t : t + 1], table(1, t), cache=cache) for t in range(4)]
    (found,) = torch.autograd.grad(torch.cat(parts, 1).square().sum(), x)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_a_cache_with_room_takes_memory_once() -> None:
    cache, new = KeyValueCache(5), torch.ones(1, 2, 1, 8)
    with torch.no_grad():
        seen = [cache.extend(new, new)[0] for _ in range(6)]
    assert len({keys.data_ptr() for keys in seen[:5]}) == 1
    assert seen[5].data_ptr() != seen[0].data_ptr()


def test_a_repeated_cache_serves_every_candidate_and_leaves_the_original_alone() -> None:
    torch.manual_seed(0)
    attention, past, new = Attention(16, 2), torch.randn(2, 3, 16), torch.randn(6, 1, 16)
    cache = KeyValueCache()
    attended(attention, past, table(3), cache=cache)
    shared = attended(attention, new, table(1, 3), cache=cache.repeated(3))
    own = KeyValueCache()
    attended(attention, past.repeat_interleave(3, dim=0), table(3), cache=own)
    torch.testing.assert_close(shared, attended(attention, new, table(1, 3), cache=own))
    keys, _ = cache.extend(torch.zeros(2, 2, 1, 8), torch.zeros(2, 2, 1, 8))
    assert keys.shape == (2, 2, 4, 8)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="divisible by 3 heads"):
        Attention(16, 3)
