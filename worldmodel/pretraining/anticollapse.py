"""Variance and covariance terms that keep latents from collapsing (VICReg, Bardes et al. 2022).

Masked latent prediction alone collapses at small scale: a constant latent is perfectly predictable.
Latents are centred *per position* first, so that what has to vary is the content of the scene; a
code of where each token sits would satisfy the terms without seeing anything.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["centre", "covariance_loss", "effective_rank", "variance_loss"]


def centre(latents: Tensor) -> Tensor:
    """Deviation of latents ``[B, n, D]`` from their mean over B, as samples ``[B*n, D]``."""
    return (latents - latents.mean(0, keepdim=True)).flatten(0, 1)


def variance_loss(samples: Tensor, target: float = 1.0) -> Tensor:
    """Mean shortfall of the standard deviation of centred ``[M, D]`` samples below ``target``."""
    deviation = (samples.float().square().mean(0) + 1e-4).sqrt()
    return F.relu(target - deviation).mean()


def covariance_loss(samples: Tensor) -> Tensor:
    """Squared off-diagonal covariances of centred ``[M, D]`` samples, summed, divided by D."""
    samples = samples.float()
    covariance = samples.T @ samples / len(samples)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / samples.shape[1]


def effective_rank(samples: Tensor) -> float:
    """Exponential of the entropy of the singular values of centred samples ``[M, D]``.

    Between 1 (collapsed) and D (isotropic); Roy and Vetterli 2007.
    """
    samples = samples.float()
    values = torch.linalg.eigvalsh(samples.T @ samples).clamp_min(0).sqrt()
    share = values / values.sum().clamp_min(1e-12)
    return float(torch.exp(-(share * (share + 1e-12).log()).sum()))
