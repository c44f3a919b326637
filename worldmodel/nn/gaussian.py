"""Diagonal normal distributions, as variational bottlenecks have them.

Kingma and Welling, *Auto-encoding variational Bayes*, arXiv:1312.6114.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["divergence", "moments", "sample"]


def moments(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance ``[..., C]`` from a network's outputs ``[..., 2 C]``."""
    mean, log_variance = outputs.chunk(2, -1)
    return mean, log_variance.clamp(-10.0, 4.0)


def sample(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """A draw, all of them ``[..., C]``, from standard normal noise (section 2.4)."""
    return mean + (0.5 * log_variance).exp() * noise


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the standard normal, nats, ``[...]`` (appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
