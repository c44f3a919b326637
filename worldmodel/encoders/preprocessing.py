"""From RGB bytes to the normalised pixels that an encoder reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

__all__ = ["IMAGENET", "PREPROCESSING", "Normalisation", "to_clip"]

PREPROCESSING = "imagenet-mean-std/frame-doubled/layer-norm-v1"
"""What happens around the weights of the video transformer; part of its fingerprint."""

_Colours = tuple[float, float, float]


@dataclass(frozen=True)
class Normalisation:
    """Bytes to ``(byte / white - mean) / std``, per colour.

    Attributes:
        mean: Of red, green and blue.
        std: Likewise, above 0.
        white: The byte that counts as 1.
    """

    mean: _Colours
    std: _Colours
    white: float = 255.0


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet, as V-JEPA 2 has it."""


def to_clip(frames: Tensor, normalisation: Normalisation = IMAGENET) -> Tensor:
    """``uint8 [B, T, h, w, 3]`` RGB to ``float32 [B, 3, T, h, w]``.

    Raises:
        ValueError: The frames are no such bytes.
    """
    if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[-1] != 3:
        raise ValueError(
            f"Expected uint8 RGB frames of shape [B,T,h,w,3], got {frames.dtype} "
            f"{list(frames.shape)}. Convert images to RGB bytes first."
        )
    scale, shift = _factors(normalisation, frames.device)
    # Channels go first while a pixel is still one byte, so that the arithmetic runs along rows.
    pixels = frames.permute(0, 4, 1, 2, 3).contiguous().float()
    return pixels.mul_(scale).sub_(shift)


@cache
@torch.inference_mode(False)  # so that training may use what planning has made
def _factors(normalisation: Normalisation, device: torch.device) -> tuple[Tensor, Tensor]:
    """Factor of bytes, and what to take off then, ``[3, 1, 1, 1]``: sent to a device once."""
    mean, std = (
        torch.tensor(values, device=device).view(3, 1, 1, 1)
        for values in (normalisation.mean, normalisation.std)
    )
    return 1 / (normalisation.white * std), mean / std
