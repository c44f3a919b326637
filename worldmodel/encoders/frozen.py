"""The encoder as everything after pretraining sees it: frames in, comparable latents out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn

from worldmodel.encoders.preprocessing import PREPROCESSING, to_clip
from worldmodel.encoders.vision_transformer import VideoTransformer
from worldmodel.nn.blocks import fuse, normalise
from worldmodel.nn.replay import Replayed
from worldmodel.precision import has_bfloat16

__all__ = ["FrozenEncoder"]


class FrozenEncoder(nn.Module):
    """Encodes single frames, without gradients.

    As in V-JEPA 2-AC every frame is encoded alone, doubled to fill the tubelet, and its latents are
    layer-normed without affine. Matrix products are in bfloat16 on a GPU that has it, and in
    float32 on a CPU, so that a latent cache is good on every CPU. Not for pretraining: that needs
    ``VideoTransformer`` itself.
    """

    def __init__(self, model: VideoTransformer) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self._replayed: Replayed | None = None

    @property
    def image_size(self) -> int:
        """Side of the square frames, pixels."""
        return self.model.config.image_size

    @property
    def tokens(self) -> int:
        """Latents per frame, N."""
        return self.model.config.grid**2

    @property
    def width(self) -> int:
        """Latent width, D."""
        return self.model.config.width

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents ``float32 [B, T, N, D]`` of RGB frames ``uint8 [B, T, h, w, 3]``.

        Raises:
            ValueError: The frames are not ``uint8`` RGB of the encoder's image size.
        """
        size = self.image_size
        if frames.ndim != 5 or frames.shape[2:4] != (size, size):
            raise ValueError(
                f"Expected frames of shape [B,T,{size},{size},3], got {list(frames.shape)}. "
                f"Resize them to {size}x{size} pixels, or use an encoder of their size."
            )
        single = frames.to(self.model.patch_embed.proj.weight.device).flatten(0, 1).unsqueeze(1)
        return self.encode_pixels(to_clip(single).squeeze(2).unflatten(0, frames.shape[:2]))

    @torch.no_grad()
    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Latents ``float32 [B, T, N, D]`` of frames ``[B, T, 3, h, w]``, normalised already."""
        encode = self._latents if self._replayed is None else self._replayed
        return encode(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])

    def fuse(self) -> None:
        """Have its blocks compiled in parts and, on a GPU, all of it launched at once."""
        fuse(self.model)
        self._replayed = Replayed(self._latents, self.model)

    def _latents(self, pixels: Tensor) -> Tensor:
        """Of frames ``[n, 3, h, w]``."""
        doubled = pixels.unsqueeze(2).expand(-1, -1, self.model.config.tubelet, -1, -1)
        weight = self.model.patch_embed.proj.weight
        with torch.autocast(weight.device.type, torch.bfloat16, enabled=self._bf16):
            latents = self.model(doubled.to(weight.dtype)).float()
        return normalise(latents)

    @property
    def _bf16(self) -> bool:
        device = self.model.patch_embed.proj.weight.device
        return device.type == "cuda" and has_bfloat16(device)

    def fingerprint(self) -> str:
        """A key over sizes, weights, preprocessing and precision: equal keys, equal latents."""
        digest = hashlib.sha256(PREPROCESSING.encode())
        if self._bf16:
            digest.update(b"bfloat16")
        # Options that older encoders do not use stay out, so that their latents are known again.
        sizes = asdict(self.model.config)
        unused = {name for name in ("vjepa_2_1", "fixed_grid") if not sizes[name]}
        kept = {name: size for name, size in sizes.items() if name not in unused}
        digest.update(json.dumps(kept, sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(tensor.detach().cpu().float().numpy()).tobytes())
        return digest.hexdigest()
