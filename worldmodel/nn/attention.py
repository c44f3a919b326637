"""Multi-head self-attention with rotary positions and an optional key/value cache."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.nn.rope import Rotation, rotate

__all__ = ["Attention", "KeyValueCache"]


class KeyValueCache:
    """Keys and values of the tokens one attention layer has already seen.

    Keys are stored rotated, so that a cached rollout never touches past tokens again.
    """

    def __init__(self) -> None:
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append ``[B, heads, n, head_dim]`` and return everything seen so far."""
        if self._keys is not None and self._values is not None:
            keys = torch.cat((self._keys, keys), dim=2)
            values = torch.cat((self._values, values), dim=2)
        self._keys, self._values = keys, values
        return keys, values

    def repeated(self, times: int) -> KeyValueCache:
        """A copy in which every batch row occurs ``times`` times in a row: one per candidate."""
        copy = KeyValueCache()
        if self._keys is not None and self._values is not None:
            copy._keys = self._keys.repeat_interleave(times, dim=0)
            copy._values = self._values.repeat_interleave(times, dim=0)
        return copy


class Attention(nn.Module):
    """Self-attention with parameter names of V-JEPA 2 (``qkv``, ``proj``).

    Not a cross-attention: keys come from the same tokens, or from the cache.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"Expected a width divisible by {heads} heads, got {width}.")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            x: Tokens ``[B, n, width]``.
            rotation: Rotary table of these tokens.
            mask: Boolean ``[n, keys]``, True where attention is allowed; None allows all.
            cache: Past keys and values; extended in place by these tokens.
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = qkv.unbind(0)
        queries, keys = rotate(queries, rotation), rotate(keys, rotation)
        if cache is not None:
            keys, values = cache.extend(keys, values)
        out = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return self.proj(out.transpose(1, 2).flatten(2))
