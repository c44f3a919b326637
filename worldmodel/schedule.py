"""Learning-rate schedules."""

from __future__ import annotations

from math import cos, pi

__all__ = ["cosine_with_warmup"]


def cosine_with_warmup(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate at a step: a linear rise, then half a cosine towards 0.

    Args:
        step: Counted from 0.
        steps: Of the whole run.
        warmup: Share of the steps that the rise takes.
    """
    rise = max(1.0, warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + cos(pi * (step - rise) / max(1.0, steps - rise)))
