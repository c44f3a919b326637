"""The V-JEPA 2 video transformer in any size: tubelet embedding, 3-D RoPE, pre-norm blocks.

Implements the encoder of V-JEPA 2 (Assran et al. 2025, section 2) with its parameter names, and
what V-JEPA 2.1 changes of it: rows and columns placed as on a grid of 16 × 16, images of their own
with patches one frame deep, an embedding that tells images from videos, and four layers read out.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from worldmodel.encoders.frame_model import FrameModel
from worldmodel.encoders.pixels import show_pixels
from worldmodel.encoders.preprocessing import IMAGENET, PREPROCESSING
from worldmodel.nn.blocks import NORM_EPS, Block, initialise
from worldmodel.nn.rope import rotation_table, token_positions
from worldmodel.settings import CHECKED, Count, Depth, Frames, Pixels, Positive, Width, check_heads

__all__ = ["EncoderConfig", "VideoTransformer"]

_LAST_PLACE = 15.0
"""Row and column of the last patch in V-JEPA 2.1, whatever the size of the frame."""


@dataclass(frozen=True, config=CHECKED)
class EncoderConfig:
    """Sizes of a video transformer.

    Attributes:
        image_size: Side of the square frames, pixels; ``VideoTransformer`` takes others as well.
        patch_size: Side of a patch, pixels; divides ``image_size``.
        tubelet: Frames per token.
        width: Latent width D.
        depth: Transformer blocks; with none, tokens show pixels (``worldmodel.encoders.pixels``).
        heads: Attention heads per block.
        mlp_ratio: Hidden width of the MLPs over ``width``.
        tiled_rope: Rotary layout of Meta's released V-JEPA 2 weights; see ``rotation_table``.
        vjepa_2_1: Build V-JEPA 2.1.
        fixed_grid: Number tokens along a grid of so many rows and columns, whatever the clip, as
            `transformers` does; None to number them along the clip's own, as V-JEPA 2 does.

    Raises:
        ValueError: Patches do not divide the image, heads not the width, or the depth is not one of
            V-JEPA 2.1.
    """

    image_size: Pixels = 96
    patch_size: Pixels = 12
    tubelet: Frames = 2
    width: Width = 128
    depth: Depth = 4
    heads: Count = 4
    mlp_ratio: Positive = 4.0
    tiled_rope: bool = False
    vjepa_2_1: bool = False
    fixed_grid: Pixels | None = None

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ValueError(
                f"Expected image_size to be a multiple of patch_size={self.patch_size}, "
                f"got {self.image_size}."
            )
        if self.depth:
            check_heads(self.width, self.heads)
        if self.vjepa_2_1 and (self.depth % 4 or not self.depth):
            raise ValueError(
                f"Expected a depth that is a multiple of 4 for V-JEPA 2.1, got {self.depth}."
            )

    @property
    def read_after(self) -> tuple[int, ...]:
        """Blocks whose outputs are read by a norm of their own: none but for V-JEPA 2.1."""
        if not self.vjepa_2_1:
            return ()
        if self.depth == 48:  # as released, and not the quarters that the other sizes read
            return (11, 23, 37, 47)
        return tuple(self.depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4))

    @property
    def grid(self) -> int:
        """Patches along one side of a frame."""
        return self.image_size // self.patch_size


class TubeletEmbedding(nn.Module):
    """A strided 3-D convolution, computed as one matrix product over the wanted patches only."""

    def __init__(self, config: EncoderConfig, frames: int) -> None:
        super().__init__()
        kernel = (frames, config.patch_size, config.patch_size)
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


class VideoTransformer(FrameModel):
    """Clips to patch latents.

    Not frozen and not layer-normed without affine: that is ``FrozenEncoder``.

    >>> model = VideoTransformer(EncoderConfig(image_size=24, width=12, depth=1, heads=2))
    >>> model(torch.zeros(1, 3, 4, 24, 24)).shape
    torch.Size([1, 8, 12])
    """

    preprocessing = PREPROCESSING
    normalisation = IMAGENET
    replayable = True

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = TubeletEmbedding(config, config.tubelet)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        if config.vjepa_2_1:
            self.patch_embed_img = TubeletEmbedding(config, 1)
            self.img_mod_embed = nn.Parameter(torch.zeros(1, 1, config.width))
            self.video_mod_embed = nn.Parameter(torch.zeros(1, 1, config.width))
            self.norms_block = nn.ModuleList(
                nn.LayerNorm(config.width, eps=NORM_EPS) for _ in config.read_after
            )
        else:
            self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)
        initialise(self, self.blocks)
        if not config.depth:
            show_pixels(self.patch_embed.proj)

    @property
    def image_size(self) -> int:
        """Side of the square frames, pixels."""
        return self.config.image_size

    @property
    def tokens(self) -> int:
        """Patches of a frame."""
        return self.config.grid**2

    @property
    def width(self) -> int:
        """Latent width, D."""
        return self.config.width

    def frame_tokens(self, pixels: Tensor) -> Tensor:
        """Tokens ``[n, tokens, D]`` of frames ``[n, 3, h, w]``, each doubled to fill the tubelet.

        That is how V-JEPA 2-AC encodes them (section 3.1).
        """
        return self(pixels.unsqueeze(2).expand(-1, -1, self.config.tubelet, -1, -1))

    def identity(self) -> dict[str, Any]:
        """Its sizes, without options that older encoders do not use: theirs stays as it was."""
        sizes = asdict(self.config)
        unused = {name for name in ("vjepa_2_1", "fixed_grid") if not sizes[name]}
        return {name: size for name, size in sizes.items() if name not in unused}

    def stored(self) -> dict[str, Any]:
        """Its sizes."""
        return asdict(self.config)

    def forward(self, clip: Tensor, token_ids: Tensor | None = None) -> Tensor:
        """Encode.

        Args:
            clip: Normalised pixels ``[B, 3, T, H, W]``: H and W multiples of the patch size, T a
                multiple of the tubelet, or 1. A single frame is repeated to fill a tubelet;
                V-JEPA 2.1 embeds it as an image instead.
            token_ids: Tokens to keep, in raster order of (time, row, column): ``[n]`` shared by
                the batch or ``[B, n]``. The others are dropped before the first block. None keeps
                all.

        Returns:
            Latents ``[B, tokens, width]`` after the last (affine) norm.

        Raises:
            ValueError: The clip has another shape.
        """
        return self._outputs(clip, token_ids)[-1]

    def levels(self, clip: Tensor, token_ids: Tensor | None = None) -> Tensor:
        """Everything that is read out, side by side: ``[B, tokens, 4 * width]`` in V-JEPA 2.1.

        Four depths, the deepest last, each after its own norm; V-JEPA 2 reads out only the last.
        """
        return torch.cat(self._outputs(clip, token_ids), dim=-1)

    def _outputs(self, clip: Tensor, token_ids: Tensor | None) -> list[Tensor]:
        self._check(clip)
        config = self.config
        image = config.vjepa_2_1 and clip.shape[2] == 1
        if clip.shape[2] == 1 and not image:
            clip = clip.expand(-1, -1, config.tubelet, -1, -1)
        rows, columns = (side // config.patch_size for side in clip.shape[3:])
        if token_ids is None:
            deep = 1 if image else clip.shape[2] // config.tubelet
            token_ids = torch.arange(deep * rows * columns, device=clip.device)
        x = self._embed(clip, token_positions(token_ids, rows, columns), image)
        positions = self._positions(token_ids, rows, columns)
        rotation = rotation_table(positions, config.width // config.heads, tiled=config.tiled_rope)
        outputs: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x, rotation)
            if index in config.read_after:
                outputs.append(self.norms_block[len(outputs)](x))
        return outputs or [self.norm(x)]

    def _embed(self, clip: Tensor, positions: Tensor, image: bool) -> Tensor:
        if not self.config.vjepa_2_1:
            return self.patch_embed(clip, positions)
        if image:
            return self.patch_embed_img(clip, positions) + self.img_mod_embed
        return self.patch_embed(clip, positions) + self.video_mod_embed

    def _positions(self, token_ids: Tensor, rows: int, columns: int) -> Tensor:
        """Where RoPE takes tokens to be, ``[..., 3]``."""
        config = self.config
        if config.fixed_grid is not None:
            rows = columns = config.fixed_grid
        positions = token_positions(token_ids, rows, columns)
        if not config.vjepa_2_1:
            return positions
        time, row, column = positions.unbind(-1)
        last = (max(rows - 1, 1), max(columns - 1, 1))
        return torch.stack(
            (time, row * (_LAST_PLACE / last[0]), column * (_LAST_PLACE / last[1])), -1
        )

    def _check(self, clip: Tensor) -> None:
        patch, tubelet = self.config.patch_size, self.config.tubelet
        if clip.ndim != 5 or clip.shape[1] != 3 or any(side % patch for side in clip.shape[3:]):
            raise ValueError(
                f"Expected a clip of shape [B,3,T,H,W], H and W multiples of the patch size "
                f"({patch}), got {list(clip.shape)}."
            )
        if clip.shape[2] % tubelet and clip.shape[2] != 1:
            raise ValueError(
                f"Expected a number of frames divisible by the tubelet ({tubelet}), "
                f"got {clip.shape[2]}."
            )
