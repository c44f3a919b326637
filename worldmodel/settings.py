"""Typed, bounded settings, and the one reader of those that a file holds.

A configuration is a frozen pydantic dataclass. Its annotations say which values a field takes, and
are checked wherever one is made: on the command line, in Python, and from a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from worldmodel.errors import UserError, nearest

__all__ = [
    "CHECKED",
    "Count",
    "Depth",
    "Features",
    "Frames",
    "Layers",
    "Pixels",
    "Positive",
    "Seed",
    "Share",
    "Steps",
    "Weight",
    "Width",
    "described",
    "read_settings",
]

CHECKED = ConfigDict(allow_inf_nan=False, extra="forbid")
"""What every configuration dataclass is declared with: no number is NaN or infinite."""

Count = Annotated[int, Field(ge=1, le=10**9)]
"""How many of something."""
Steps = Annotated[int, Field(ge=0, le=10**9)]
"""Optimiser steps; with 0 nothing is trained."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Width = Annotated[int, Field(ge=1, le=2**14)]
"""Of a layer or a vector; no transformer has had wider ones."""
Features = Annotated[int, Field(ge=0, le=2**14)]
"""Width of a vector that may be empty."""
Depth = Annotated[int, Field(ge=0, le=256)]
"""Layers, of which there may be none."""
Layers = Annotated[int, Field(ge=1, le=256)]
"""Layers, or networks side by side."""
Pixels = Annotated[int, Field(ge=1, le=4096)]
"""Side of a frame or a patch."""
Frames = Annotated[int, Field(ge=1, le=4096)]
"""Frames of a clip or a window."""
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
Weight = Annotated[float, Field(ge=0, le=1e9)]
"""Of a term of a loss, or another number that may be 0."""

_T = TypeVar("_T")

_EXPECTED = {
    "greater_than_equal": "{name} of at least {ge}",
    "greater_than": "{name} above {gt}",
    "less_than_equal": "{name} of at most {le}",
    "less_than": "{name} below {lt}",
    "finite_number": "a finite {name}",
    "int_type": "a whole number for {name}",
    "int_from_float": "a whole number for {name}",
    "int_parsing": "a whole number for {name}",
    "float_type": "a number for {name}",
    "float_parsing": "a number for {name}",
    "bool_type": "true or false for {name}",
    "bool_parsing": "true or false for {name}",
    "string_type": "words for {name}",
    "tuple_type": "a list for {name}",
    "dataclass_type": "settings by name for {name}",
}


def described(error: ValueError) -> str:
    """The first thing that is wrong with settings, in one line: what was expected, what came."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split()).rstrip(".")
    first = error.errors(include_url=False)[0]
    context: dict[str, Any] = first.get("ctx", {})
    name = ".".join(map(str, first["loc"])) or error.title
    if first["type"] == "value_error":  # a check of several fields says it all
        return described(context["error"])
    if first["type"] == "missing":
        return f"Expected {name}, which is missing"
    if first["type"] == "unexpected_keyword_argument":
        return f"unknown key '{name}'"
    expected = _EXPECTED.get(first["type"])
    if expected is None:
        return f"{name}: {first['msg'].lower()}, got {_shown(first['input'])}"
    return f"Expected {expected.format(name=name, **context)}, got {_shown(first['input'])}"


def read_settings(kind: type[_T], stored: object, source: str) -> _T:
    """Settings as a file holds them: every field is there, of its own type, within its bounds.

    Nothing is converted and nothing takes a default, because other settings than those that a
    model was made with change what it computes.

    Args:
        kind: A configuration dataclass.
        stored: What JSON gave.
        source: File and key, for errors.

    Raises:
        UserError: A field is missing, unknown, of another type or out of bounds.
    """
    assert is_dataclass(kind)
    if not isinstance(stored, Mapping):
        raise UserError(f"{source}: expected settings by name, got {_shown(stored)}.")
    names = [field.name for field in fields(kind)]
    if missing := [name for name in names if name not in stored]:
        raise UserError(f"{source}: expected also {', '.join(missing)}. Nothing takes a default.")
    if unknown := [str(name) for name in stored if name not in names]:
        raise UserError(f"{source}: unknown key {_shown(unknown[0])}; {nearest(unknown[0], names)}")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(stored), strict=True)
    except ValidationError as error:
        raise UserError(f"{source}: {described(error)}.") from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
