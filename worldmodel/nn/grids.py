"""Convolutions over grids of patch tokens.

Shapes: ``...`` any leading axes, N tokens of width D, of K cameras one after the other.
"""

from __future__ import annotations

from math import isqrt

from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.nn.mlp import mlp

__all__ = ["GridReader", "Residual"]

_READ = 8  # side up to which a grid is read
_KEPT = 8  # channels that are read off a place


class GridReader(nn.Module):
    """Tokens to one vector: small convolutions see a place with its neighbours, wherever it is.

    What a layer without them reads of an edge has to be learned in every patch anew. A grid is
    halved until 8 places wide, so a finer one costs little more.

    Args:
        tokens: N, of all cameras.
        token_width: D.
        channels: Of a place.
        hidden: Width of the layer that reads all places.
        outputs: Width of the vector.
        cameras: K.
    """

    def __init__(
        self,
        tokens: int,
        token_width: int,
        channels: int,
        hidden: int,
        outputs: int,
        cameras: int = 1,
    ) -> None:
        super().__init__()
        self._cameras, self._side = cameras, isqrt(tokens // cameras)
        self.stem = nn.Linear(token_width, channels)
        side, layers = self._side, [nn.GELU(), _conv(channels, channels)]
        while side > _READ:
            wider = 2 * channels if len(layers) == 2 else channels
            layers += [nn.GELU(), _conv(channels, wider, stride=2)]
            side, channels = -(-side // 2), wider
        self.convolutions = nn.Sequential(*layers, Residual(channels), Residual(channels))
        self.keep = nn.Conv2d(channels, _KEPT, 1)
        self.read = mlp(cameras * _KEPT * side**2, hidden, 2, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Vectors ``[..., outputs]`` of tokens ``[..., N, D]``."""
        frames = tokens.reshape(-1, *tokens.shape[-2:])
        places = self.stem(frames).unflatten(1, (self._cameras, -1)).flatten(0, 1)
        grids = places.mT.unflatten(-1, (self._side, self._side))
        kept = F.gelu(self.keep(self.convolutions(grids)))
        read = self.read(kept.reshape(len(frames), -1))
        return read.view(*tokens.shape[:-2], -1)


class Residual(nn.Module):
    """Two convolutions beside what they are added to."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.first, self.second = _conv(channels, channels), _conv(channels, channels)

    def forward(self, grids: Tensor) -> Tensor:
        """Grids ``[R, channels, side, side]``, same shape."""
        added: Tensor = self.second(F.gelu(self.first(F.gelu(self.norm(grids)))))
        return grids + added


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
