"""The narrow transformer that predicts hidden latents from visible ones (V-JEPA 2 names)."""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from worldmodel.encoders.vision_transformer import EncoderConfig
from worldmodel.nn.blocks import NORM_EPS, Block, initialise
from worldmodel.nn.rope import rotation_table, token_positions
from worldmodel.settings import CHECKED, Count, Depth, Layers, Positive, Width, check_heads

__all__ = ["MaskedPredictor", "MaskedSizes"]


@dataclass(frozen=True, config=CHECKED)
class MaskedSizes:
    """Sizes of a masked predictor (V-JEPA 2, arXiv:2506.09985, section 2.1).

    Attributes:
        width: Of its latents.
        depth: Its blocks.
        heads: Its attention heads.
        mlp_ratio: Hidden width of the MLPs over ``width``.
        mask_tokens: Learned mask tokens, one per kind of mask.

    Raises:
        ValueError: Heads do not divide the width into 6 channels or more.
    """

    width: Width = 96
    depth: Depth = 2
    heads: Count = 3
    mlp_ratio: Positive = 4.0
    mask_tokens: Layers = 2

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)


class MaskedPredictor(nn.Module):
    """Context latents and target positions to target latents.

    Used in pretraining only; not the action-conditioned predictor that plans.
    """

    def __init__(self, encoder: EncoderConfig, sizes: MaskedSizes) -> None:
        """Build.

        Args:
            encoder: Sizes of the encoder whose latents are predicted.
            sizes: Its own.
        """
        super().__init__()
        self.encoder_sizes, self.sizes = encoder, sizes
        width, heads = sizes.width, sizes.heads
        self._head_dim = width // heads
        self.predictor_embed = nn.Linear(encoder.width, width)
        self.mask_tokens = nn.ParameterList(
            nn.Parameter(torch.zeros(1, 1, width)) for _ in range(sizes.mask_tokens)
        )
        self.predictor_blocks = nn.ModuleList(
            Block(width, heads, sizes.mlp_ratio) for _ in range(sizes.depth)
        )
        self.predictor_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.predictor_proj = nn.Linear(width, encoder.width)
        initialise(self, self.predictor_blocks)

    def forward(
        self,
        context: Tensor,
        context_ids: Tensor,
        target_ids: Tensor,
        mask_index: int = 0,
        grid: tuple[int, int] | None = None,
    ) -> Tensor:
        """Predict.

        Args:
            context: Encoder outputs at ``context_ids``, ``[B, n, D]``.
            context_ids: ``[n]`` or ``[B, n]``, raster order.
            target_ids: ``[m]`` or ``[B, m]``.
            mask_index: Which mask token stands at the targets.
            grid: Rows and columns of patches that the ids count; by default those of the encoder's
                ``image_size``.

        Returns:
            Latents at the targets, ``[B, m, D]``.
        """
        ids = torch.cat((context_ids, target_ids), dim=-1)
        rows, columns = grid or (self.encoder_sizes.grid, self.encoder_sizes.grid)
        positions = token_positions(ids, rows, columns)
        rotation = rotation_table(positions, self._head_dim, tiled=self.encoder_sizes.tiled_rope)
        visible = self.predictor_embed(context)
        hidden = self.mask_tokens[mask_index].expand(len(context), target_ids.shape[-1], -1)
        x = torch.cat((visible, hidden.to(visible.dtype)), dim=1)
        for block in self.predictor_blocks:
            x = block(x, rotation)
        x = self.predictor_norm(x[:, context_ids.shape[-1] :])
        return self.predictor_proj(x)
