"""Checks that settings of several searches share."""

from __future__ import annotations

import math

__all__ = ["at_least_one", "distinct", "no_more_than", "not_negative", "positive", "within"]


def at_least_one(settings: object, *names: str) -> None:
    """Raise a ValueError where one of these settings is below 1."""
    for name in names:
        if not (value := getattr(settings, name)) >= 1:  # so that NaN is refused as well
            raise ValueError(f"Expected {name} of at least 1, got {value}")


def positive(settings: object, *names: str) -> None:
    """Raise a ValueError where one of these settings is not above 0, or not finite."""
    for name in names:
        if not 0 < (value := getattr(settings, name)) < math.inf:
            raise ValueError(f"Expected {name} above 0, got {value}")


def not_negative(settings: object, *names: str) -> None:
    """Raise a ValueError where one of these settings is below 0, or not finite."""
    for name in names:
        if not 0 <= (value := getattr(settings, name)) < math.inf:
            raise ValueError(f"Expected {name} of at least 0, got {value}")


def distinct(settings: object, *names: str) -> None:
    """Raise a ValueError where one of these lists is empty, or has an entry twice."""
    for name in names:
        value = getattr(settings, name)
        if not value or len(set(value)) < len(value):
            raise ValueError(f"Expected one or more {name}, each once, got {list(value)}")


def no_more_than(settings: object, **most: str) -> None:
    """Raise a ValueError where a setting, ``name="other"``, exceeds the other."""
    for name, other in most.items():
        value, limit = getattr(settings, name), getattr(settings, other)
        if value > limit:
            raise ValueError(
                f"Expected {name} of at most {other} ({limit}), got {value}; "
                f"lower {name} or raise {other}"
            )


def within(settings: object, low: float, high: float, *names: str) -> None:
    """Raise a ValueError where one of these settings is outside ``[low, high]``."""
    for name in names:
        if not low <= (value := getattr(settings, name)) <= high:
            raise ValueError(f"Expected {name} from {low:g} to {high:g}, got {value}")
