"""SIGReg: latents that are Gaussian in every direction cannot collapse."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["sigreg"]


def sigreg(
    latents: Tensor, generator: torch.Generator, directions: int = 64, knots: int = 17
) -> Tensor:
    """How far a sample is from a standard Gaussian, along random directions.

    The Epps-Pulley statistic of LeJEPA (arXiv:2511.08544, §4): the squared difference between the
    empirical characteristic function of a projection and that of N(0, 1), integrated with a
    Gaussian window. It differs in using a plain Riemann sum.

    Args:
        latents: ``[R, Z]``.
        generator: Draws the directions, on the latents' device.
        directions: How many.
        knots: Points of the integral over [-4, 4].

    Returns:
        A scalar, zero for a perfect match; it does not grow with R.
    """
    shape = (latents.shape[-1], directions)
    random = torch.randn(shape, generator=generator, device=latents.device, dtype=latents.dtype)
    projected = latents @ torch.nn.functional.normalize(random, dim=0)
    t = torch.linspace(-4.0, 4.0, knots, device=latents.device, dtype=latents.dtype)
    gaussian = (-0.5 * t.square()).exp()
    angles = projected[..., None] * t
    real, imaginary = angles.cos().mean(0), angles.sin().mean(0)
    difference = (real - gaussian).square() + imaginary.square()
    return 8.0 * (difference * gaussian).mean()
