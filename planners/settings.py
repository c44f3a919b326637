"""The values that settings take, and checks of several settings that searches share.

A configuration is a frozen pydantic dataclass: its annotations are checked wherever one is made.
"""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import ConfigDict, Field

__all__ = [
    "CHECKED",
    "Correlation",
    "Count",
    "Dimension",
    "Horizon",
    "Iterations",
    "Multiple",
    "Number",
    "Positive",
    "ProperShare",
    "Proposals",
    "Samples",
    "SearchConfig",
    "Several",
    "Share",
    "Weight",
    "distinct",
    "no_more_than",
]

CHECKED = ConfigDict(allow_inf_nan=False, extra="forbid")
"""What every configuration dataclass is declared with: no number is NaN or infinite."""

Count = Annotated[int, Field(ge=1, le=10**6)]
"""How many of something."""
Samples = Annotated[int, Field(ge=1, le=10**6)]
"""Candidates of a round; they are held in memory together."""
Several = Annotated[int, Field(ge=2, le=10**6)]
"""As many as a deviation can be taken of."""
Proposals = Annotated[int, Field(ge=0, le=10**6)]
"""Of these, those of a policy prior, or another number that may be 0."""
Iterations = Annotated[int, Field(ge=1, le=10**6)]
"""Rounds of a search."""
Horizon = Annotated[int, Field(ge=1, le=1024)]
"""Steps of a plan; noise takes a matrix of their square."""
Dimension = Annotated[int, Field(ge=0, lt=2**14)]
"""Number of an action dimension."""
Share = Annotated[float, Field(ge=0, le=1)]
ProperShare = Annotated[float, Field(gt=0, lt=1)]
"""More than nothing, and less than all."""
Correlation = Annotated[float, Field(ge=0, le=0.99)]
"""Of neighbouring steps or rounds; at 1 nothing would ever change."""
Positive = Annotated[float, Field(gt=0, le=1e9)]
Number = Annotated[float, Field(ge=-1e9, le=1e9)]
Multiple = Annotated[float, Field(ge=1, le=1e3)]
"""A factor that does not shrink."""
Weight = Annotated[float, Field(ge=0, le=1e9)]
"""A number that may be 0."""


class SearchConfig(Protocol):
    """Settings of a search over actions; the dataclass of every planner has these."""

    @property
    def horizon(self) -> int:
        """Control steps looked ahead; a multiple of the world's stride."""
        ...

    @property
    def receding_horizon(self) -> int:
        """Steps of a plan carried out before planning again."""
        ...

    @property
    def active_dims(self) -> tuple[int, ...] | None:
        """Action dimensions to search over; the others stay at rest. None for all."""
        ...


def distinct(settings: object, *names: str) -> None:
    """Raise a ValueError where one of these lists is empty, or has an entry twice."""
    for name in names:
        value = getattr(settings, name)
        if value is None:
            continue
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
