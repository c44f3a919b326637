"""The V-JEPA 2 video transformer in any size: tubelet embedding, 3-D RoPE, pre-norm blocks.

Implements the encoder of V-JEPA 2 (Assran et al. 2025, section 2) with its parameter names.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.encoders.pixels import show_pixels
from worldmodel.nn.blocks import NORM_EPS, Block, initialise
from worldmodel.nn.rope import rotation_table, token_positions

__all__ = ["EncoderConfig", "VideoTransformer"]


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of a video transformer.

    Attributes:
        image_size: Side of the square frames, pixels.
        patch_size: Side of a patch, pixels; divides ``image_size``.
        tubelet: Frames per token.
        width: Latent width D.
        depth: Transformer blocks; with none, tokens show pixels (``worldmodel.encoders.pixels``).
        heads: Attention heads per block.
        mlp_ratio: Hidden width of the MLPs over ``width``.
        tiled_rope: Rotary layout of Meta's released weights; see ``rotation_table``.
    """

    image_size: int = 96
    patch_size: int = 12
    tubelet: int = 2
    width: int = 128
    depth: int = 4
    heads: int = 4
    mlp_ratio: float = 4.0
    tiled_rope: bool = False

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ValueError(
                f"Expected image_size to be a multiple of patch_size={self.patch_size}, "
                f"got {self.image_size}."
            )

    @property
    def grid(self) -> int:
        """Patches along one side of a frame."""
        return self.image_size // self.patch_size


class TubeletEmbedding(nn.Module):
    """A strided 3-D convolution, computed as one matrix product over the wanted patches only."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        kernel = (config.tubelet, config.patch_size, config.patch_size)
        self.proj = nn.Conv3d(3, config.width, kernel_size=kernel, stride=kernel)

    def forward(self, clip: Tensor, positions: Tensor) -> Tensor:
        """Embed the patches at some (time, row, column) ``[n, 3]`` or ``[B, n, 3]``."""
        batch, channels, frames, height, width = clip.shape
        t, p, _ = self.proj.kernel_size
        blocks = clip.reshape(batch, channels, frames // t, t, height // p, p, width // p, p)
        patches = blocks.permute(0, 2, 4, 6, 1, 3, 5, 7)
        each = torch.arange(batch, device=clip.device).unsqueeze(1)
        time, row, column = positions.unbind(-1)
        wanted = patches[each, time, row, column].flatten(2)
        return F.linear(wanted, self.proj.weight.flatten(1), self.proj.bias)


class VideoTransformer(nn.Module):
    """Clips to patch latents.

    Not frozen and not layer-normed without affine: that is ``FrozenEncoder``.

    >>> model = VideoTransformer(EncoderConfig(image_size=24, width=12, depth=1, heads=2))
    >>> model(torch.zeros(1, 3, 4, 24, 24)).shape
    torch.Size([1, 8, 12])
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = TubeletEmbedding(config)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)
        initialise(self, self.blocks)
        if not config.depth:
            show_pixels(self.patch_embed.proj)

    def forward(self, clip: Tensor, token_ids: Tensor | None = None) -> Tensor:
        """Encode.

        Args:
            clip: Normalised pixels ``[B, 3, T, H, W]``, T a multiple of the tubelet.
            token_ids: Tokens to keep, in raster order of (time, row, column): ``[n]`` shared by
                the batch or ``[B, n]``. The others are dropped before the first block. None keeps
                all.

        Returns:
            Latents ``[B, tokens, width]`` after the final (affine) norm.
        """
        self._check(clip)
        config = self.config
        if token_ids is None:
            tokens = clip.shape[2] // config.tubelet * config.grid**2
            token_ids = torch.arange(tokens, device=clip.device)
        positions = token_positions(token_ids, config.grid, config.grid)
        rotation = rotation_table(positions, config.width // config.heads, tiled=config.tiled_rope)
        x = self.patch_embed(clip, positions)
        for block in self.blocks:
            x = block(x, rotation)
        return self.norm(x)

    def _check(self, clip: Tensor) -> None:
        size, tubelet = self.config.image_size, self.config.tubelet
        if clip.ndim != 5 or clip.shape[1] != 3 or clip.shape[3:] != (size, size):
            raise ValueError(
                f"Expected a clip of shape [B,3,T,{size},{size}], got {list(clip.shape)}."
            )
        if clip.shape[2] % tubelet:
            raise ValueError(
                f"Expected a number of frames divisible by the tubelet ({tubelet}), "
                f"got {clip.shape[2]}."
            )
