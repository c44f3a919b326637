"""JSON from outside: whatever is in the file, it is read or refused in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Container
from pathlib import Path
from typing import Any

from worldmodel.errors import UserError

__all__ = ["read_json"]

_BYTES = 16 * 2**20
"""Largest file; an index of the largest models takes a hundredth of it."""
_NESTED = 64
"""Lists and objects within one another."""


def read_json(file: Path, remedy: str, *, unmeasured: Container[str] = ()) -> dict[str, Any]:
    """Settings by name.

    Args:
        file: A small file of JSON.
        remedy: What to do where it is damaged, a sentence for errors.
        unmeasured: Names at the top below which a number may be NaN or infinite, as a measurement
            may be that could not be taken.

    Raises:
        UserError: It is missing or too large, no JSON or no object, or holds a key twice or a
            number that is not finite.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(_BYTES + 1)
        if len(content) > _BYTES:
            raise ValueError(f"expected at most {_BYTES // 2**20} MiB of settings")
        settings = json.loads(content.decode(), object_pairs_hook=_unique)
        if not isinstance(settings, dict):
            raise ValueError("expected settings by name")
        for name, value in settings.items():
            _check(value, name, 1, finite=name not in unmeasured)
    except FileNotFoundError as error:
        raise UserError(f"{file} does not exist. {remedy}") from error
    except (OSError, ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{file} is damaged ({reason}). {remedy}") from error
    return settings


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in pairs:
        if name in settings:
            raise ValueError(f"key {name[:60]!r} twice")
        settings[name] = value
    return settings


def _check(value: object, name: str, depth: int, *, finite: bool) -> None:
    if depth > _NESTED:
        raise ValueError("nested too deeply")
    if finite and isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected a finite number for {name[:60]!r}, got {value}")
    parts = value.items() if isinstance(value, dict) else enumerate(_listed(value))
    for key, part in parts:
        _check(part, f"{name}.{key}", depth + 1, finite=finite)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
