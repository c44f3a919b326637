"""From RGB bytes to the normalised clips that the video transformer reads."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["PREPROCESSING", "to_clip"]

PREPROCESSING = "imagenet-mean-std/frame-doubled/layer-norm-v1"
"""Names what happens around the weights; part of every encoder's fingerprint."""

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def to_clip(frames: Tensor) -> Tensor:
    """``uint8 [B, T, h, w, 3]`` RGB to ``float32 [B, 3, T, h, w]``, ImageNet mean and std."""
    if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[-1] != 3:
        raise ValueError(
            f"Expected uint8 RGB frames of shape [B,T,h,w,3], got {frames.dtype} "
            f"{list(frames.shape)}. Convert images to RGB bytes first."
        )
    mean = torch.tensor(_IMAGENET_MEAN, device=frames.device).view(3, 1, 1, 1)
    std = torch.tensor(_IMAGENET_STD, device=frames.device).view(3, 1, 1, 1)
    # Channels go first while a pixel is still one byte, so that the arithmetic runs along rows.
    pixels = frames.permute(0, 4, 1, 2, 3).contiguous().float()
    return pixels.mul_(1 / (255 * std)).sub_(mean / std)
