"""Noise that is correlated along a sequence: what smooths white noise, as a matrix ``[H, H]``.

``colour @ white`` has unit variance at every step. All matrices are made once per planner.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["autoregressive", "power_law"]


def autoregressive(horizon: int, correlation: float, like: Tensor) -> Tensor:
    """Noise whose neighbouring steps correlate so much, and the k-th ones to the k-th power.

    Args:
        horizon: H.
        correlation: In [0, 1); 0 is white.
        like: Its device and dtype are taken.
    """
    lag = torch.arange(horizon, device=like.device)
    covariance = torch.pow(correlation, (lag[:, None] - lag).abs().to(like.dtype))
    colour: Tensor = torch.linalg.cholesky(covariance)
    return colour


def power_law(horizon: int, exponent: float, like: Tensor) -> Tensor:
    """Noise whose power falls with frequency f as ``f ** -exponent``, as in iCEM (§3.1).

    White at a horizon of one, which has no frequencies.

    Args:
        horizon: H.
        exponent: β of iCEM; 0 is white, 2 is red.
        like: Its device and dtype are taken.
    """
    identity = torch.eye(horizon, device=like.device, dtype=like.dtype)
    if horizon == 1 or exponent == 0:
        return identity
    # The mean has no frequency of its own; it is given the lowest, as iCEM does.
    frequency = torch.arange(horizon // 2 + 1, device=like.device, dtype=like.dtype).clamp(min=1)
    spectrum = torch.fft.rfft(identity, dim=0) * frequency[:, None] ** (-exponent / 2)
    colour = torch.fft.irfft(spectrum, n=horizon, dim=0)
    return colour / colour[0].norm()
