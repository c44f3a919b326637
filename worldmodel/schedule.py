"""Learning-rate schedules."""

from __future__ import annotations

from math import cos, pi

__all__ = ["cosine_with_warmup", "rising_cosine", "warmup_constant_decay"]


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


def rising_cosine(step: int, steps: int, rise: int = 100) -> float:
    """Share of the peak learning rate at a step: half a cosine over all steps, times a linear rise.

    Args:
        step: Counted from 0.
        steps: Of the whole run.
        rise: Steps until the first factor is 1; a shorter run never gets there.
    """
    return min(1.0, (step + 1) / rise) * 0.5 * (1 + cos(pi * step / steps))


def warmup_constant_decay(
    step: int, steps: int, warmup: float, decay: float, start: float = 0.0
) -> float:
    """Share of the peak learning rate at a step: a linear rise, a plateau, a linear fall to 0.

    The schedule of V-JEPA 2-AC (arXiv:2506.09985, §3.1).

    Args:
        step: Counted from 0.
        steps: Of the whole run.
        warmup: Share of the steps that the rise takes.
        decay: Share of the steps that the fall takes.
        start: Where the rise begins, as a share of the peak.
    """
    rise, fall = max(1.0, warmup * steps), max(1.0, decay * steps)
    rising = start + (1 - start) * min(1.0, (step + 1) / rise)
    return min(rising, (steps - step) / fall, 1.0)
