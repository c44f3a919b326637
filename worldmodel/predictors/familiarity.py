"""Whether frames look like those that a world was trained on.

A world imagines something of any picture, noise included, and its uncertainties know imagined
latents only. So the means and spreads of a frame's tokens are held against those of training
frames, in units of how these vary (a diagonal Mahalanobis distance).

Shapes: ``...`` any leading axes, N tokens of width D.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Familiarity"]

_MARGIN = 1.25  # beyond the strangest training frame, from which on a frame is strange
_LEAST = 0.1  # spread of a number that hardly varies, as a share of the median spread


class Familiarity(nn.Module):
    """Says of a frame's tokens how strange it is; 1 is the most that is taken for usual.

    Without `fit`, nothing is strange.
    """

    usual: Tensor
    spread: Tensor
    sharpness: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("usual", torch.zeros(2 * width))
        self.register_buffer("spread", torch.ones(2 * width))
        self.register_buffer("sharpness", torch.tensor(0.0))  # a limit's inverse, which is finite

    @torch.no_grad()
    def fit(self, tokens: Tensor, batch: int = 256) -> None:
        """Take frames ``[F, N, D]``, at least two, for what is usual."""
        summaries = torch.cat([_summary(part) for part in tokens.split(batch)])
        spread = summaries.std(0)
        self.usual.copy_(summaries.mean(0))
        self.spread.copy_(spread.clamp(min=max(_LEAST * float(spread.median()), 1e-6)))
        strangest = float(self._distance(summaries).max())
        self.sharpness.fill_(1 / (_MARGIN * max(strangest, 1.0)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Strangeness ``[...]`` of frames ``[..., N, D]``."""
        return self._distance(_summary(tokens)) * self.sharpness

    def _distance(self, summaries: Tensor) -> Tensor:
        return ((summaries - self.usual) / self.spread).square().mean(-1).sqrt()


def _summary(tokens: Tensor) -> Tensor:
    """Means and spreads ``[..., 2 D]`` of tokens ``[..., N, D]``."""
    tokens = tokens.float()
    return torch.cat([tokens.mean(-2), tokens.std(-2, correction=0)], -1)
