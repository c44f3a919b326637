"""From RGB bytes to the normalised clips that the video transformer reads."""

from __future__ import annotations

from functools import cache

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
    scale, shift = _normalisation(frames.device)
    # Channels go first while a pixel is still one byte, so that the arithmetic runs along rows.
    pixels = frames.permute(0, 4, 1, 2, 3).contiguous().float()
    return pixels.mul_(scale).sub_(shift)


@cache
@torch.inference_mode(False)  # so that training may use what planning has made
def _normalisation(device: torch.device) -> tuple[Tensor, Tensor]:
    """Factor of bytes, and what to take off then, ``[3, 1, 1, 1]``: sent to a device once."""
    mean, std = (
        torch.tensor(values, device=device).view(3, 1, 1, 1)
        for values in (_IMAGENET_MEAN, _IMAGENET_STD)
    )
    return 1 / (255 * std), mean / std
