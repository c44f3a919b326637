"""Multi-head self-attention with rotary positions and an optional key/value cache."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.nn.rope import Rotation, rotate

__all__ = ["Attention", "KeyValueCache"]


class KeyValueCache:
    """Keys and values of the tokens one attention layer has already seen.

    Keys are stored rotated, so that a cached rollout never touches past tokens again. What is new
    is written behind what is kept, unless gradients are recorded, which need the past as it was.

    Args:
        room: Tokens to take memory for at first; those beyond it cost a copy of all.
    """

    def __init__(self, room: int = 0) -> None:
        self._room, self._tokens = room, 0
        self._kept: tuple[Tensor, Tensor] | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append ``[B, heads, n, head_dim]`` and return everything seen so far."""
        past, self._tokens = self._tokens, self._tokens + keys.shape[2]
        if torch.is_grad_enabled():
            if self._kept is not None:
                before = (kept[:, :, :past] for kept in self._kept)
                keys, values = (torch.cat(p, 2) for p in zip(before, (keys, values), strict=True))
            self._kept = (keys, values)
            return self._kept
        if self._kept is None or self._kept[0].shape[2] < self._tokens:
            self._kept = (self._moved(0, keys, past), self._moved(1, values, past))
        for kept, new in zip(self._kept, (keys, values), strict=True):
            kept[:, :, past : self._tokens] = new
        return self._kept[0][:, :, : self._tokens], self._kept[1][:, :, : self._tokens]

    def _moved(self, which: int, like: Tensor, past: int) -> Tensor:
        batch, heads, _, width = like.shape
        kept = like.new_empty(batch, heads, max(self._tokens, self._room), width)
        if self._kept is not None:
            kept[:, :, :past] = self._kept[which][:, :, :past]
        return kept

    def repeated(self, times: int, room: int = 0) -> KeyValueCache:
        """A copy in which every batch row occurs ``times`` times in a row: one per candidate.

        Args:
            times: Candidates of a row.
            room: Of the copy; see the class.
        """
        copy = KeyValueCache(room)
        if self._kept is not None:
            seen = (kept[:, :, : self._tokens] for kept in self._kept)
            copy.extend(*(part.repeat_interleave(times, dim=0) for part in seen))
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
        queries, keys = rotate(qkv[:2], rotation, overwrite=not torch.is_grad_enabled())
        values = qkv[2]
        if cache is not None:
            keys, values = cache.extend(keys, values)
        out = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return self.proj(out.transpose(1, 2).flatten(2))
