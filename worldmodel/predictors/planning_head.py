"""From the frozen tokens of a frame to its planning latent.

Shapes: ``...`` any leading axes, N tokens of width D, C scene code, F state features,
Z = C + F planning latent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.nn.mlp import mlp

__all__ = ["PlanningHead"]

_REDUCED = 16  # numbers that are left of a token


class PlanningHead(nn.Module):
    """Frozen tokens to scene codes and arm features.

    The code is read off a frame *beside another look at the same scene*: how a table and what
    stands on it look is different everywhere, but what moved since the other look is not, and it is
    what matters. It is variational and pays for every bit, so it drops what proprioception tells
    anyway. See ``worldmodel.dynamics.code`` for how it is trained.
    """

    def __init__(
        self, tokens: int, token_width: int, code_width: int, state_features: int, width: int
    ) -> None:
        super().__init__()
        self.code = _Compared(tokens, token_width, width, 2 * code_width)
        self.arm = _Alone(tokens, token_width, width, state_features)

    def distribution(self, tokens: Tensor, look: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance ``[..., C]`` of the code; both sights are ``[..., N, D]``."""
        mean, log_variance = self.code(tokens, look).chunk(2, -1)
        return mean, log_variance.clamp(-10.0, 4.0)

    def forward(self, tokens: Tensor, look: Tensor) -> Tensor:
        """Planning latents ``[..., Z]``: the code's mean, and the arm features.

        Args:
            tokens: Of the frames, ``[..., N, D]``.
            look: Of other frames of the same scenes, which broadcasts against them.
        """
        return torch.cat([self.distribution(tokens, look)[0], self.arm(tokens)], -1)


class _Compared(nn.Module):
    """All tokens of a frame, each held against the token in its place in another look.

    Only what is left of each, a few numbers, is seen together with where it is.
    """

    def __init__(
        self, tokens: int, token_width: int, width: int, outputs: int, kinds: int = 64
    ) -> None:
        super().__init__()
        self.here = nn.Linear(token_width, kinds)
        self.there = nn.Linear(token_width, kinds, bias=False)
        with torch.no_grad():  # begins with what differs, which holds in looks never seen as well
            self.there.weight.copy_(-self.here.weight)
        self.place = nn.Parameter(torch.zeros(tokens, kinds))
        self.norm = nn.LayerNorm(kinds)
        self.reduce = nn.Linear(kinds, _REDUCED)
        self.read = mlp(tokens * _REDUCED, width, 2, outputs)

    def forward(self, tokens: Tensor, look: Tensor) -> Tensor:
        kinds = self.norm(self.here(tokens) + self.there(look) + self.place)
        return self.read(F.gelu(self.reduce(F.gelu(kinds))).flatten(-2))


class _Alone(nn.Module):
    """All tokens of a frame, each reduced to a few numbers first, to one vector."""

    def __init__(self, tokens: int, token_width: int, width: int, outputs: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(token_width, _REDUCED)
        self.read = mlp(tokens * _REDUCED, width, 2, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(F.gelu(self.reduce(tokens)).flatten(-2))
