"""The encoder as everything after pretraining sees it: frames in, comparable latents out."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch
from torch import Tensor, nn

from worldmodel.encoders.frame_model import FrameModel
from worldmodel.encoders.preprocessing import to_clip
from worldmodel.nn.blocks import fuse, normalise
from worldmodel.nn.replay import Replayed
from worldmodel.precision import has_bfloat16

__all__ = ["FrozenEncoder"]


class FrozenEncoder(nn.Module):
    """Encodes single frames, without gradients.

    As in V-JEPA 2-AC every frame is encoded alone, and its latents are layer-normed without affine.
    Matrix products are in bfloat16 on a GPU that has it, and in float32 on a CPU, so that a latent
    cache is good on every CPU. Not for pretraining: that needs ``VideoTransformer`` itself.

    Args:
        model: The network: ours (``VideoTransformer``) or another library's (``ForeignModel``).
        cameras: K. With several, frames stand side by side, and so do their tokens.

    Attributes:
        cameras: K; may be set until the first frame is encoded.
    """

    def __init__(self, model: FrameModel, cameras: int = 1) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.cameras = cameras
        self._replayed: Replayed | None = None

    @property
    def image_size(self) -> int:
        """Side of the square frames of one camera, pixels."""
        return self.model.image_size

    @property
    def tokens(self) -> int:
        """Latents per moment, N: those of one camera after the other's."""
        return self.cameras * self.model.tokens

    @property
    def width(self) -> int:
        """Latent width, D."""
        return self.model.width

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents ``float32 [B, T, N, D]`` of RGB frames ``uint8 [B, T, size, K * size, 3]``.

        Raises:
            ValueError: The frames are not ``uint8`` RGB of the encoder's image size.
        """
        size, cameras = self.image_size, self.cameras
        if frames.ndim != 5 or frames.shape[2:4] != (size, cameras * size):
            several = f" for {cameras} cameras side by side" if cameras > 1 else ""
            raise ValueError(
                f"Expected frames of shape [B,T,{size},{cameras * size},3]{several}, "
                f"got {list(frames.shape)}. Resize them to {size}x{size} pixels, or use an encoder "
                "of their size."
            )
        batch, time = frames.shape[:2]
        apart = frames.to(self.model.anywhere().device).unflatten(3, (cameras, size))
        single = apart.movedim(3, 2).flatten(0, 2).unsqueeze(1)
        pixels = to_clip(single, self.model.normalisation).squeeze(2)
        latents = self.encode_pixels(pixels.unflatten(0, (batch, time * cameras)))
        return latents.unflatten(1, (time, cameras)).flatten(2, 3)

    @torch.no_grad()
    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Latents ``float32 [B, T, n, D]`` of one camera's frames ``[B, T, 3, h, w]``.

        They are normalised already.
        """
        encode = self._latents if self._replayed is None else self._replayed
        return encode(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])

    def fuse(self) -> None:
        """Have our blocks compiled in parts and, on a GPU, all of it launched at once.

        A network of another library runs as that library has it.
        """
        if self.model.replayable:
            fuse(self.model)
            self._replayed = Replayed(self._latents, self.model)

    def _latents(self, pixels: Tensor) -> Tensor:
        """Of frames ``[n, 3, h, w]``."""
        weight = self.model.anywhere()
        with torch.autocast(weight.device.type, torch.bfloat16, enabled=self._bf16):
            latents = self.model.frame_tokens(pixels.to(weight.dtype)).float()
        return normalise(latents) if self.model.layer_normed else latents

    @property
    def _bf16(self) -> bool:
        device = self.model.anywhere().device
        return device.type == "cuda" and has_bfloat16(device)

    def fingerprint(self) -> str:
        """A key over sizes, weights, preprocessing and precision: equal keys, equal latents."""
        digest = hashlib.sha256(self.model.preprocessing.encode())
        if self._bf16:
            digest.update(b"bfloat16")
        if self.cameras > 1:
            digest.update(f"{self.cameras} cameras".encode())
        digest.update(json.dumps(self.model.identity(), sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(tensor.detach().cpu().float().numpy()).tobytes())
        return digest.hexdigest()
