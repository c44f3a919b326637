"""From the frozen tokens of a frame to its planning latent.

Shapes: ``...`` any leading axes, N tokens of width D, C object latent, F state features,
Z = C + F planning latent.
"""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.nn.gaussian import moments
from worldmodel.nn.glimpses import GlimpseReader, nearby, within
from worldmodel.nn.grids import GridReader
from worldmodel.nn.keypoints import KeypointReader
from worldmodel.nn.mlp import mlp

__all__ = ["SIGHTS", "STILL", "Keypoints", "PlanningHead"]

_CLOSE = 4  # hidden layers of a glimpse, as a multiple of what reads a place
STILL = 0.1
"""Of a picture that is 2 wide: points that spread less hardly move."""
SIGHTS = ("points", "grid")
"""How tokens are read: feature points beside a reference frame, or convolutions over the grid."""


class PlanningHead(nn.Module):
    """Frozen tokens to object latents and proprio features.

    The object latent is read off a frame and *a reference frame of the same scene*: appearance
    differs from scene to scene, but what moved since the reference is what matters. It is
    variational and pays for every bit, so it drops what proprioception says anyway. See
    ``worldmodel.dynamics.vector.object_latent`` and ``picture`` for how it is trained.

    With ``sight="grid"`` convolutions read the frame alone, and object latents are `Keypoints`.
    They tell places and turns far better, where all scenes look alike.
    """

    def __init__(
        self,
        tokens: int,
        token_width: int,
        object_width: int,
        state_features: int,
        width: int,
        points: int,
        proprio_width: int,
        cameras: int = 1,
        sight: str = "points",
        glimpse: int = 0,
    ) -> None:
        super().__init__()
        self.code: nn.Module
        self.arm: nn.Module
        if sight == "grid":
            self.code = Keypoints(tokens, token_width, width, object_width, cameras, glimpse)
            self.arm = GridReader(
                tokens, token_width, width, proprio_width, state_features, cameras
            )
        else:
            self.code = _Points(tokens, token_width, width, points, 2 * object_width, cameras)
            self.arm = _Whole(tokens, token_width, proprio_width, state_features)

    def distribution(self, tokens: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance ``[..., C]`` of the object latent; arguments as of `forward`.

        With ``sight="points"`` only.
        """
        return moments(self.code(tokens, reference))

    def forward(self, tokens: Tensor, reference: Tensor) -> Tensor:
        """Planning latents ``[..., Z]``: the object latent, or its mean, and the proprio features.

        Args:
            tokens: Of the frames, ``[..., N, D]``.
            reference: Of other frames of the same scenes, which broadcast against them.
        """
        if isinstance(self.code, Keypoints):
            found = self.code(tokens)
        else:
            found = self.distribution(tokens, reference)[0]
        return torch.cat([found, self.arm(tokens)], -1)


class Keypoints(nn.Module):
    """Points of a frame as object latents, whatever the reference, and a glimpse at one of them.

    All points have one scale, so a distance of them is one of places. See
    ``worldmodel.dynamics.vector.picture`` and ``glimpse`` for how they are trained.
    """

    def __init__(
        self,
        tokens: int,
        token_width: int,
        width: int,
        object_width: int,
        cameras: int,
        glimpse: int,
    ) -> None:
        super().__init__()
        points = object_width // cameras - glimpse
        self.find = KeypointReader(tokens, token_width, width, points // 2, cameras)
        self.glimpse = GlimpseReader(token_width, _CLOSE * width, glimpse) if glimpse else None
        self.centre: Tensor
        self.spread: Tensor
        self.gaze: Tensor
        self.register_buffer("centre", torch.zeros(cameras * points))
        self.register_buffer("spread", torch.ones(()))
        if glimpse:
            self.register_buffer("gaze", torch.zeros(cameras, dtype=torch.long))

    def forward(self, tokens: Tensor) -> Tensor:
        """Object latents ``[..., C]`` of tokens ``[..., N, D]``."""
        points = self.find(tokens)
        found = (points - self.centre) / self.spread
        if self.glimpse is None:
            return found
        glimpses = self.glimpse(*self.close(tokens, points))
        return torch.cat([found, glimpses.view(*points.shape[:-1], -1)], -1)

    def close(self, tokens: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """What `GlimpseReader` reads where glimpses go, a row for each camera of each frame.

        Args:
            tokens: Of frames, ``[..., N, D]``.
            points: Found in them, ``[..., K P 2]``.
        """
        cameras = len(self.gaze)
        grids = tokens.reshape(-1, tokens.shape[-2] // cameras, tokens.shape[-1])
        each = points.view(-1, cameras, points.shape[-1] // (2 * cameras), 2)
        places = each[:, torch.arange(cameras, device=each.device), self.gaze].flatten(0, 1)
        return nearby(grids, places), within(places, isqrt(grids.shape[1]))

    @torch.no_grad()
    def fit(self, tokens: Tensor) -> None:
        """Bring what is found in frames ``[R, N, D]`` to unit scale, all points alike.

        Points that hardly move, as where there is no object, stay small.
        """
        found = self.find(tokens)
        self.centre.copy_(found.mean(0))
        self.spread.copy_(found.var(0).mean().sqrt().clamp(min=STILL))


class _Points(nn.Module):
    """Where in the picture objects are, and what is there, to one vector.

    One small network reads every token with the reference's token in the same place. So what it
    learns of an object in one corner holds in all others. Feature points by spatial softmax
    (Finn et al., arXiv:1509.06113), here on frozen tokens.
    """

    def __init__(
        self, tokens: int, token_width: int, width: int, points: int, outputs: int, cameras: int
    ) -> None:
        super().__init__()
        self.here = nn.Linear(token_width, width)
        self.there = nn.Linear(token_width, width, bias=False)
        self.place = nn.Parameter(torch.zeros(tokens, width))
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(width, width)
        self.points = nn.Linear(width, 2 * points)
        self._cameras = cameras
        self.coordinates: Tensor
        self.register_buffer("coordinates", torch.empty(tokens // cameras, 2), persistent=False)
        if not self.coordinates.is_meta:  # PyTorch would load its compiler, which takes a second
            self._initialise()
        self.read = mlp(3 * points * cameras, 2 * width, 2, outputs)

    @torch.no_grad()
    def _initialise(self) -> None:
        # It begins with what differs, which holds for appearances never seen as well.
        self.there.weight.copy_(-self.here.weight)
        nn.init.normal_(self.points.weight, std=0.3)  # points differ from the start
        side = torch.linspace(-1, 1, isqrt(len(self.coordinates)))
        self.coordinates.copy_(torch.cartesian_prod(side, side))

    def forward(self, tokens: Tensor, reference: Tensor) -> Tensor:
        seen = F.gelu(self.norm(self.here(tokens) + self.there(reference) + self.place))
        found = self.points(F.gelu(self.mix(seen)))
        if self._cameras > 1:  # each has points of its own
            found = found.unflatten(-2, (self._cameras, -1))
        strength, what = found.chunk(2, -1)
        share = strength.softmax(-2)  # of each point, in each token
        where = (share.mT @ self.coordinates).flatten(-2)
        read = torch.cat([where, (share * what).sum(-2)], -1)
        return self.read(read.flatten(-2) if self._cameras > 1 else read)


class _Whole(nn.Module):
    """All tokens of a frame, each reduced to a few numbers first, to one vector.

    The arm fills the picture, so all of it gives its place better than points do.
    """

    def __init__(
        self, tokens: int, token_width: int, width: int, outputs: int, reduced: int = 16
    ) -> None:
        super().__init__()
        self.reduce = nn.Linear(token_width, reduced)
        self.read = mlp(tokens * reduced, width, 2, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(F.gelu(self.reduce(tokens)).flatten(-2))
