"""Raw pixels in the form of latents: what a patch shows, in an orthonormal basis, and no more.

A token holds the lowest spatial frequencies of its patch, per colour: the discrete cosine
transform that JPEG uses (Ahmed, Natarajan and Rao 1974). With as many as there are pixels it is a
rotation of them; with fewer it keeps what most of an image's energy is in. Nothing is learned.

Layer norm would take brightness and contrast from such a token. Two constants that end it, c and
-c, preserve them: normed, their sum tells the mean that was subtracted and their difference the
scale that was divided by.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["frequencies", "show_pixels"]


def frequencies(size: int) -> Tensor:
    """Orthonormal basis ``[size**2, size, size]`` of square patches, the lowest frequency first."""
    place = torch.arange(size, dtype=torch.float64) + 0.5
    wave = torch.arange(size, dtype=torch.float64)[:, None]
    cosines = (math.pi / size * wave * place).cos() * math.sqrt(2 / size)
    cosines[0] /= math.sqrt(2)
    basis = torch.einsum("uy,vx->uvyx", cosines, cosines).flatten(0, 1)
    total = (wave + wave.T).flatten()
    return basis[total.argsort(stable=True)].float()


@torch.no_grad()
def show_pixels(embedding: nn.Conv3d) -> None:
    """Set a tubelet embedding ``[D, colours, frames, size, size]`` to show its patches as they are.

    The frames of a tubelet are averaged.

    Raises:
        ValueError: A token is wider than what there is to show.
    """
    width, colours, frames, size, _ = embedding.weight.shape
    shown = colours * size**2
    if width - 2 > shown:
        raise ValueError(
            f"Expected width of at most {shown + 2} for pixels, which is every value of a patch "
            f"and two constants, got {width}. Lower encoder.width, or raise encoder.patch_size."
        )
    # By frequency first and colour second, so that no colour is cut much before another.
    basis = torch.einsum("fyx,cd->fcdyx", frequencies(size), torch.eye(colours)).flatten(0, 1)
    embedding.weight.zero_()
    embedding.weight[: width - 2] = basis[: width - 2, :, None] / frames
    constant = math.sqrt(shown)  # the length of a patch whose values have unit variance
    assert embedding.bias is not None
    embedding.bias.zero_()
    embedding.bias[-2:] = torch.tensor([constant, -constant])
