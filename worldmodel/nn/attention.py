"""Multi-head self-attention with rotary positions and an optional key/value cache."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.nn.rope import Rotation, rotate

__all__ = ["Attention", "KeyValueCache", "attend"]


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

    @classmethod
    def of(cls, keys: Tensor, values: Tensor) -> KeyValueCache:
        """That has seen these, ``[B, heads, n, head_dim]``, which it will not write to."""
        cache = cls()
        cache._kept, cache._tokens = (keys, values), keys.shape[2]
        return cache

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
        return self.seen

    @property
    def seen(self) -> tuple[Tensor, Tensor]:
        """Keys and values of everything seen so far; of something, that is."""
        assert self._kept is not None
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
            copy.extend(*(part.repeat_interleave(times, dim=0) for part in self.seen))
        return copy


class Attention(nn.Module):
    """Layers around self-attention, with parameter names of V-JEPA 2 (``qkv``, ``proj``)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"Expected a width divisible by {heads} heads, got {width}.")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def project(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, ``[B, heads, n, head_dim]`` each.

        Args:
            x: Tokens ``[B, n, width]``.
            rotation: Rotary table of these tokens.
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        overwrite = not torch.is_grad_enabled()
        # Apart: together, a compiler would write them side by side first.
        queries, keys = (rotate(part, rotation, overwrite=overwrite) for part in qkv[:2])
        return queries, keys, qkv[2]


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    cache: KeyValueCache | None = None,
) -> Tensor:
    """What the tokens of ``Attention.project`` find among themselves, ``[B, n, width]``.

    Not a cross-attention: keys come from the same tokens, or from the cache.

    Args:
        queries: ``[B, heads, n, head_dim]``.
        keys: Likewise.
        values: Likewise.
        mask: Boolean ``[n, keys]``, True where attention is allowed; None allows all.
        cache: Past keys and values; extended in place by these.
    """
    if cache is not None:
        keys, values = cache.extend(keys, values)
    out = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    return out.transpose(1, 2).flatten(2)
