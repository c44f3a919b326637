"""Sketched isotropic Gaussian regularisation, SIGReg (LeJEPA, Balestriero and LeCun 2025).

A distribution is the isotropic Gaussian if all its one-dimensional projections are standard normal
(Cramér and Wold), so a few random directions are tested, others at every step. The test is that of
Epps and Pulley (1983): how far the empirical characteristic function of the projections is from
that of the normal distribution. arXiv:2511.08544, section 4.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["epps_pulley", "sigreg_loss"]

_REACH, _KNOTS = 5.0, 9  # of the quadrature over half of the axis; both halves are alike


def epps_pulley(values: Tensor, reach: float = _REACH, knots: int = _KNOTS) -> Tensor:
    """The Epps-Pulley statistic ``[..., K]`` of K projections of M samples, ``[..., M, K]``.

    ``M * integral of |mean exp(itx) - exp(-t^2 / 2)|^2 exp(-t^2 / 2) dt``. It is of order 1 for
    standard normal samples, whatever M, and grows with M for others.

    Args:
        values: The projections.
        reach: Where the quadrature ends; beyond it the last factor leaves nothing.
        knots: Of the quadrature, from 0 on.
    """
    t = torch.linspace(0, reach, knots, device=values.device)
    normal = (-t.square() / 2).exp()
    angles = values.unsqueeze(-1) * t
    real, imaginary = angles.cos().mean(-3), angles.sin().mean(-3)
    distance = (real - normal).square() + imaginary.square()
    return 2 * values.shape[-2] * torch.trapezoid(distance * normal, t, dim=-1)


def sigreg_loss(
    samples: Tensor,
    rng: np.random.Generator,
    directions: int = 256,
    reach: float = _REACH,
    knots: int = _KNOTS,
) -> Tensor:
    """Mean statistic of samples ``[..., M, D]`` over random directions; leading axes are averaged.

    Args:
        samples: To be standard normal in D dimensions, M at a time.
        rng: Decides the directions.
        directions: How many.
        reach: As in `epps_pulley`.
        knots: Likewise.
    """
    drawn = torch.from_numpy(rng.standard_normal((samples.shape[-1], directions), np.float32))
    unit = (drawn / drawn.norm(dim=0)).to(samples.device)
    with torch.autocast(samples.device.type, enabled=False):
        return epps_pulley(samples.float() @ unit, reach, knots).mean()
