"""From the frozen tokens of a frame to its planning latent.

Shapes: ``...`` any leading axes, N tokens of width D, C scene code, F state features,
Z = C + F planning latent.
"""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor, nn

from worldmodel.nn.mlp import mlp

__all__ = ["PlanningHead"]


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
        self.code = _Keypoints(tokens, token_width, width, 2 * code_width)
        self.arm = _Flat(tokens, token_width, width, state_features)

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


class _Keypoints(nn.Module):
    """Where in a frame are what kinds of difference to another look: to one vector.

    Every token is held against the token in its place, and spatial soft-argmax (Finn et al.,
    arXiv:1509.06113) says where the tokens of each kind are. So it carries over to looks in which
    the same things are elsewhere.
    """

    def __init__(
        self, tokens: int, token_width: int, width: int, outputs: int, points: int = 32
    ) -> None:
        super().__init__()
        side, inner = isqrt(tokens), 2 * points
        if side * side != tokens:
            raise ValueError(f"Expected the tokens of a square frame, got {tokens}")
        self.here = nn.Linear(token_width, inner)
        self.there = nn.Linear(token_width, inner, bias=False)
        self.position = nn.Parameter(torch.zeros(tokens, inner))
        self.norm = nn.LayerNorm(inner)
        self.mix = nn.Linear(inner, inner)
        self.kinds = nn.Linear(inner, 2 * points)
        nn.init.normal_(self.kinds.weight, std=0.3)  # points that differ from the start
        line = torch.linspace(-1, 1, side)
        self.register_buffer("grid", torch.cartesian_prod(line, line), persistent=False)
        self.read = mlp(3 * points, width, 2, outputs)

    grid: Tensor

    def forward(self, tokens: Tensor, look: Tensor) -> Tensor:
        hidden = self.here(tokens) + self.there(look) + self.position
        hidden = nn.functional.gelu(self.mix(nn.functional.gelu(self.norm(hidden))))
        scores, amounts = self.kinds(hidden).chunk(2, -1)
        weights = scores.softmax(-2).mT
        places = (weights @ self.grid.to(weights)).flatten(-2)
        return self.read(torch.cat([places, (weights * amounts.mT).sum(-1)], -1))


class _Flat(nn.Module):
    """All tokens of a frame, each reduced to a few numbers first, to one vector."""

    def __init__(
        self, tokens: int, token_width: int, width: int, outputs: int, reduced: int = 16
    ) -> None:
        super().__init__()
        self.reduce = nn.Linear(token_width, reduced)
        self.read = mlp(tokens * reduced, width, 2, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(nn.functional.gelu(self.reduce(tokens)).flatten(-2))
