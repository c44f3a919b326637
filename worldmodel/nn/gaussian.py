"""Diagonal normal distributions, as variational bottlenecks have them."""

from __future__ import annotations

from torch import Tensor

__all__ = ["divergence"]


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the standard normal, nats, ``[...]`` of ``[..., C]``.

    Kingma and Welling, arXiv:1312.6114, appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
