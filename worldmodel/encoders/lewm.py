"""The encoder of LeWorldModel: a plain vision transformer that makes one latent of a frame.

LeWorldModel (Maes et al. 2026, arXiv:2603.19312): the class token of a ViT goes through a head with
batch norm. It is trained together with its predictor (`worldmodel.dynamics.lewm`) and frozen after.

The usual sizes are smaller than the paper's ViT-tiny at 224 pixels (12 blocks of width 192, patches
of 14), because they are for two CPU cores. ``predictor=lewm_published`` has those of the paper.
Another deviation is where training begins: positions are waves, and weights of unit gain, in place
of noise of 0.02. From there, short runs learnt where in a patch things are, and not in which patch.

Shapes: n frames, D latent width.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.encoders.frame_model import FrameModel
from worldmodel.encoders.preprocessing import IMAGENET, to_clip
from worldmodel.nn.blocks import Mlp
from worldmodel.nn.projection import projection
from worldmodel.settings import CHECKED, Count, Depth, Pixels, Width

__all__ = ["LEWM", "LewmEncoder", "LewmEncoderConfig"]

LEWM = "lewm"
"""What a checkpoint calls this kind of encoder."""

_EPS = 1e-12  # of the layer norms of transformers' ViT, which the released weights were trained in


@dataclass(frozen=True, config=CHECKED)
class LewmEncoderConfig:
    """Sizes of LeWorldModel's encoder.

    Attributes:
        image_size: Side of the square frames, pixels.
        patch_size: Side of a patch, pixels.
        width: Of the transformer.
        depth: Its blocks.
        heads: Its attention heads.
        mlp_ratio: Hidden width of its MLPs over ``width``.
        latent_width: D.
        projection_width: Of the hidden layer between class token and latent.

    Raises:
        ValueError: Patches do not tile a frame, or heads do not divide the width.
    """

    image_size: Pixels = 64
    patch_size: Pixels = 8
    width: Width = 64
    depth: Depth = 3
    heads: Count = 2
    mlp_ratio: Count = 4
    latent_width: Width = 192
    projection_width: Width = 512

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ValueError(
                f"Expected image_size divisible by a patch_size of {self.patch_size}, got "
                f"{self.image_size}"
            )
        if self.width % self.heads:
            raise ValueError(
                f"Expected a width that {self.heads} heads divide evenly, got {self.width}"
            )


class LewmEncoder(FrameModel):
    """Frames to one latent each. In training mode, batch norm mixes the frames of a batch."""

    preprocessing = "imagenet-mean-std/class-token-projected-v1"
    normalisation = IMAGENET
    layer_normed = False
    replayable = True

    def __init__(self, config: LewmEncoderConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.width, config.patch_size
        count = (config.image_size // patch) ** 2
        self.patches = nn.Linear(3 * patch * patch, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, count + 1, width))
        self.blocks = nn.ModuleList(
            _Block(width, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.projector = projection(width, config.projection_width, config.latent_width)
        if self.positions.is_meta:
            return
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        self.positions.data[0, 1:] = 2 * _waves(config.image_size // patch, width)
        for module in (self.patches, *self.blocks.modules()):
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)

    @property
    def image_size(self) -> int:
        """Side of the square frames, pixels."""
        return self.config.image_size

    @property
    def tokens(self) -> int:
        """One."""
        return 1

    @property
    def width(self) -> int:
        """D."""
        return self.config.latent_width

    def frame_tokens(self, pixels: Tensor) -> Tensor:
        """Latents ``[n, 1, D]`` of normalised frames ``[n, 3, h, w]``."""
        size = self.config.patch_size
        rows = pixels.unflatten(3, (-1, size)).unflatten(2, (-1, size))  # n, 3, i, y, j, x
        x = self.patches(rows.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2))
        x = torch.cat([self.cls_token.expand(len(x), -1, -1).to(x.dtype), x], 1) + self.positions
        for block in self.blocks:
            x = block(x)
        latents: Tensor = self.projector(self.norm(x[:, 0]))
        return latents.unsqueeze(1)

    def latents(self, frames: Tensor) -> Tensor:
        """Latents ``[B, T, D]`` of frames ``uint8 [B, T, h, w, 3]``, with gradients."""
        pixels = to_clip(frames.flatten(0, 1).unsqueeze(1), self.normalisation).squeeze(2)
        return self.frame_tokens(pixels).squeeze(1).unflatten(0, frames.shape[:2])

    def identity(self) -> dict[str, Any]:
        """Its kind and sizes."""
        return self.stored()

    def stored(self) -> dict[str, Any]:
        """Likewise."""
        return {"kind": LEWM, **asdict(self.config)}


def _waves(side: int, width: int) -> Tensor:
    """Sines and cosines of row and column, ``[side * side, width]`` of unit spread."""
    rates = 10.0 ** (-torch.linspace(0, 1, max(1, -(-width // 4))))
    angles = torch.arange(side).float()[:, None] * rates
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = waves[:, None].expand(-1, side, -1), waves.expand(side, -1, -1)
    both = torch.cat([rows, columns], -1).flatten(0, 1)[:, :width]
    moved = both - both.mean(0)
    return moved / moved.square().mean().sqrt().clamp(min=1e-6)


class _Block(nn.Module):
    """A pre-norm block of ViT, which sees all tokens of a frame."""

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=_EPS)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=_EPS)
        self.mlp = Mlp(width, width * mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens ``[n, N, width]``, same shape."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(*qkv.unbind(0))
        x = x + self.proj(found.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))
