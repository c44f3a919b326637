"""Checks that settings of several searches share."""

from __future__ import annotations

__all__ = ["at_least_one", "no_more_than", "within"]


def at_least_one(settings: object, *names: str) -> None:
    """Raise a ValueError where one of these settings is below 1."""
    for name in names:
        if (value := getattr(settings, name)) < 1:
            raise ValueError(f"Expected {name} of at least 1, got {value}")


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
