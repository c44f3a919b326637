"""The scene apart from the arm: object latents as they would be with the arm elsewhere.

Shapes: ``...`` any leading axes, C object latent, F proprio features, S scene.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worldmodel.nn.gaussian import moments
from worldmodel.nn.mlp import mlp

__all__ = ["Scenes"]


class Scenes(nn.Module):
    """A few numbers that give, with the arm in any place, the object latent that is read then.

    They are variational and pay for every bit, so they drop the arm. See
    ``worldmodel.dynamics.vector.scenes`` for how they are trained.

    There may be none of these numbers: object latents that are places of things
    (``worldmodel.dynamics.vector.picture``) are scenes themselves.

    Args:
        object_width: C.
        state_features: F.
        scene_width: S.
        width: Of the hidden layers.
    """

    def __init__(
        self, object_width: int, state_features: int, scene_width: int, width: int
    ) -> None:
        super().__init__()
        if not scene_width:
            return
        self.scene = mlp(object_width + state_features, width, 2, 2 * scene_width)
        self.code = mlp(scene_width + state_features, width, 2, object_width)

    def distribution(self, codes: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance ``[..., S]`` of scenes, of what was read with the arm there."""
        return moments(self.scene(torch.cat([codes, features], -1)))

    def decode(self, scenes: Tensor, features: Tensor) -> Tensor:
        """Object latents ``[..., C]`` of scenes ``[..., S]``, with the arm there ``[..., F]``."""
        return self.code(torch.cat([scenes, features], -1))

    def forward(self, codes: Tensor, features: Tensor) -> Tensor:
        """Object latents ``[..., C]`` as they would be with the arm in its mean place."""
        if not hasattr(self, "scene"):
            return codes
        scenes, _ = self.distribution(codes, features)
        return self.decode(scenes, torch.zeros_like(features))
