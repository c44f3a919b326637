"""Typed, bounded settings, and the one reader of those that a file holds.

A configuration is a frozen pydantic dataclass. Its annotations say which values a field takes, and
are checked wherever one is made: on the command line, in Python, and from a file.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, ParamSpec, TypeVar

from omegaconf import MISSING
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from worldmodel.errors import SettingsError, UserError, nearest

__all__ = [
    "CHECKED",
    "AnyCount",
    "Batch",
    "Coordinate",
    "Count",
    "Depth",
    "Dimension",
    "Features",
    "Frames",
    "Layers",
    "LearningRate",
    "NonEmpty",
    "Pixels",
    "Places",
    "Positive",
    "ProperShare",
    "Rate",
    "Seed",
    "Several",
    "Share",
    "Steps",
    "Threads",
    "Weight",
    "Width",
    "among",
    "check_heads",
    "configured",
    "described",
    "read_settings",
]

_V = TypeVar("_V")

CHECKED = ConfigDict(allow_inf_nan=False, extra="forbid")
"""What every configuration dataclass is declared with: no number is NaN or infinite."""

Count = Annotated[int, Field(ge=1, le=10**9)]
"""How many of something."""
AnyCount = Annotated[int, Field(ge=0, le=10**9)]
"""How many of something that may be left out."""
Several = Annotated[int, Field(ge=2, le=10**9)]
"""As many as can be compared."""
Batch = Annotated[int, Field(ge=1, le=2**20)]
"""What is held in memory together."""
Threads = Annotated[int, Field(ge=1, le=1024)]
"""Threads or processes."""
Places = Annotated[int, Field(ge=2, le=1024)]
"""Along either axis of a plane."""
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
ProperShare = Annotated[float, Field(gt=0, lt=1)]
"""More than nothing, and less than all."""
Rate = Annotated[float, Field(ge=1e-6, le=1)]
"""Chance to stop at a step; a smaller one is none in float32."""
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
"""A position (m), an angle (rad), or another component of a state or an action."""
Dimension = Annotated[int, Field(ge=0, lt=2**14)]
"""Number of a dimension of an action."""
Positive = Annotated[float, Field(gt=0, le=1e9)]
LearningRate = Annotated[float, Field(ge=0, le=1e30)]
"""Whatever float32 holds: a rate beyond reason shows in the loss."""
Weight = Annotated[float, Field(ge=0, le=1e9)]
"""Of a term of a loss, or another number that may be 0."""

NonEmpty = Annotated[tuple[_V, ...], Field(min_length=1)]

_T = TypeVar("_T")
_C = TypeVar("_C")
_R = TypeVar("_R")
_P = ParamSpec("_P")

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
    "too_short": "{name} to list {min_length} or more",
    "too_long": "{name} to list {max_length} at most",
    "string_type": "words for {name}",
    "tuple_type": "a list for {name}",
    "dataclass_type": "settings by name for {name}",
}


def among(*known: str) -> AfterValidator:
    """What refuses a word that is none of these."""

    def check(word: str) -> str:
        if word not in known:
            context = {"known": known, "listed": ", ".join(known)}
            raise PydanticCustomError("unknown_word", "Input should be one of {listed}", context)
        return word

    return AfterValidator(check)


def check_heads(width: int, heads: int) -> None:
    """Raise a ValueError where attention heads do not share a width, or cannot be rotated."""
    if width % heads or width // heads < 6:  # a channel pair each for time, row and column
        raise ValueError(
            f"Expected a width that {heads} heads divide evenly, with 6 channels or more for each, "
            f"got {width}"
        )


def described(error: ValueError, node: str = "") -> str:
    """The first thing that is wrong with settings, in one line: what was expected, what came.

    Args:
        error: What making them raised.
        node: Where they belong in larger ones, such as ``oracle.planner``.
    """
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split()).rstrip(".")
    first = error.errors(include_url=False)[0]
    context: dict[str, Any] = first.get("ctx", {})
    name = _key(node, first["loc"]) or error.title
    if first["type"] == "value_error":  # a check of several fields says it all
        return f"{name}: {described(context['error'])}" if node else described(context["error"])
    if first["type"] == "missing":
        return f"Expected {name}, which is missing"
    if first["type"] == "unexpected_keyword_argument":
        return f"unknown key '{name}'"
    if first["type"] == "unknown_word":
        return f"unknown {name} '{first['input']}'; {nearest(first['input'], context['known'])}"
    expected = _EXPECTED.get(first["type"])
    if expected is None:
        return f"{name}: {first['msg'].lower()}, got {_shown(first['input'])}"
    said = {k: f"{v:.10g}" if isinstance(v, float) else v for k, v in context.items()}
    return f"Expected {expected.format(name=name, **said)}, got {_shown(first['input'])}"


def configured(
    kind: Callable[_P, _C], **usual: Any
) -> Callable[[Callable[[_C], _R]], Callable[_P, _R]]:
    """A function of a configuration, as a function of its fields.

    Its signature and its documentation are the configuration's, so neither is written twice.

    Args:
        kind: The configuration dataclass.
        usual: Fields that the command line takes from YAML, unless they are given.

    Raises:
        SettingsError: When called: a field is missing, unknown or out of its bounds.
    """

    def decorate(function: Callable[[_C], _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            return function(_checked(kind, args, {**usual, **kwargs} if not args else kwargs))

        told = inspect.getdoc(kind) or ""
        call.__doc__ = f"{inspect.getdoc(function)}\n\n{told.replace('Attributes:', 'Args:')}"
        setattr(call, "__signature__", inspect.signature(kind))  # noqa: B010, unknown to mypy
        del call.__wrapped__
        return call

    return decorate


def _checked(kind: Callable[..., _C], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _C:
    names = list(inspect.signature(kind).parameters)
    if unknown := [name for name in kwargs if name not in names]:
        raise SettingsError(f"unknown key '{unknown[0]}'; {nearest(unknown[0], names)}")
    try:
        made = kind(*args, **kwargs)
    except ValidationError as error:
        raise SettingsError(described(error)) from error
    if missing := [name for name in names if getattr(made, name) == MISSING]:
        raise SettingsError("missing value: " + " ".join(f"{name}=…" for name in missing))
    return made


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


def _key(node: str, place: tuple[int | str, ...]) -> str:
    """As on the command line, entries of lists in brackets."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return f"{node}{words}".removeprefix(".")


def _shown(value: object) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else f"{text[:57]}…"
