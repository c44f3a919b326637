"""Places in a picture as numbers: points are found in a grid of tokens, and draw it again.

A point is the mean place of a spatial softmax (Finn et al., arXiv:1509.06113). The frame is drawn
from blots at these points and from nothing else (Jakab et al., arXiv:1806.07823; they draw pixels,
and take what does not move from another frame). So points settle on what moves, and follow it.

Shapes: R rows, N tokens of width D, of K cameras one after the other; P points a camera, T numbers
that are told.
"""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor, nn

from worldmodel.nn.grids import Residual
from worldmodel.nn.mlp import mlp

__all__ = ["KeypointDecoder", "KeypointReader"]

_ROBOT = 8  # points a camera that follow from what is told
_NEAR, _FAR = 0.12, 0.35  # how far blots reach at first; a picture is 2 wide


class KeypointReader(nn.Module):
    """Tokens to points, by convolutions that see a place with its neighbours, wherever it is.

    Args:
        tokens: N, of all cameras.
        token_width: D.
        channels: Of a place.
        points: P.
        cameras: K.
    """

    def __init__(
        self, tokens: int, token_width: int, channels: int, points: int, cameras: int = 1
    ) -> None:
        super().__init__()
        self._cameras, self._side = cameras, isqrt(tokens // cameras)
        self.stem = nn.Linear(token_width, channels)
        self.convolutions = nn.Sequential(
            *(Residual(channels) for _ in range(3)), nn.GroupNorm(1, channels), nn.GELU()
        )
        self.maps = nn.Conv2d(channels, points, 1)
        self.places: Tensor
        self.register_buffer("places", torch.empty(self._side**2, 2), persistent=False)
        if not self.places.is_meta:
            nn.init.normal_(self.maps.weight, std=0.3)  # points differ from the start
            self.places.copy_(_grid(self._side))

    def forward(self, tokens: Tensor) -> Tensor:
        """Points ``[..., K P 2]`` in [-1, 1], down and across, of tokens ``[..., N, D]``."""
        frames = tokens.reshape(-1, *tokens.shape[-2:])
        places = self.stem(frames).unflatten(1, (self._cameras, -1)).flatten(0, 1)
        grids = places.mT.unflatten(-1, (self._side, self._side))
        share = self.maps(self.convolutions(grids)).flatten(2).softmax(-1)
        # No matrix product, which autocast would round: places are to be exact.
        points = (share[..., None] * self.places).sum(-2)
        return points.reshape(*tokens.shape[:-2], -1)


class KeypointDecoder(nn.Module):
    """Points, and what is told of the robot, to the tokens of a frame.

    What is told becomes points, too, so that the points that were found need not follow the robot.

    Args:
        points: P.
        told: T; there may be none.
        tokens: N, of all cameras.
        token_width: D.
        channels: Of a place.
        cameras: K.
    """

    def __init__(
        self, points: int, told: int, tokens: int, token_width: int, channels: int, cameras: int = 1
    ) -> None:
        super().__init__()
        self._cameras, self._side = cameras, isqrt(tokens // cameras)
        self.robot = mlp(told, channels, 1, cameras * _ROBOT * 2) if told else None
        self.reach = nn.Parameter(torch.tensor([_NEAR, _FAR]).log())
        self.register_buffer("places", _grid(self._side), persistent=False)
        self.places: Tensor
        inputs = 4 * (points + (_ROBOT if told else 0)) + told + 2
        self.draw = nn.Sequential(
            nn.Conv2d(inputs, channels, 1),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, token_width, 1),
        )

    def forward(self, points: Tensor, told: Tensor) -> Tensor:
        """Tokens ``[R, N, D]`` of points ``[R, K P 2]`` and what is told ``[R, T]``."""
        found = points.view(len(points) * self._cameras, -1, 2)
        if self.robot is not None:
            found = torch.cat([found, self.robot(told).view(len(found), _ROBOT, 2)], 1)
        everywhere = [
            told.repeat_interleave(self._cameras, 0)[:, :, None].expand(-1, -1, self._side**2),
            self.places.T.expand(len(found), -1, -1),
        ]
        seen = torch.cat([self._blots(found), *everywhere], 1)
        drawn = self.draw(seen.unflatten(-1, (self._side, self._side))).flatten(2).mT
        return drawn.unflatten(0, (-1, self._cameras)).flatten(1, 2)

    def _blots(self, points: Tensor) -> Tensor:
        """How near each place is to each point, and where it lies from there, ``[R, 4 P, n]``."""
        apart = self.places - points[:, :, None]
        squared = apart.square().sum(-1)
        near, far = (torch.exp(-squared / (2 * reach**2)) for reach in self.reach.exp())
        blots = torch.stack([near, far, *(3 * far[..., None] * apart).unbind(-1)], 2)
        return blots.flatten(1, 2)


def _grid(side: int) -> Tensor:
    """The places of a grid's cells, down and across, ``[side², 2]``."""
    line = torch.linspace(-1, 1, side)
    return torch.cartesian_prod(line, line)
