"""Which of a dataset's cameras are asked for, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from worldmodel.errors import UserError, nearest

__all__ = ["Wanted", "chosen_cameras", "wanted_cameras"]

Wanted: TypeAlias = str | Sequence[str] | None
"""Names of cameras; one name; None for the only one there is; () for all."""


def chosen_cameras(
    known: Sequence[str], wanted: Wanted, source: str, aliases: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The names that are asked for, in the order they are asked for.

    >>> chosen_cameras(["front", "wrist"], ["wrist", "front"], "data")
    ('wrist', 'front')
    >>> chosen_cameras(["front"], None, "data")
    ('front',)

    Args:
        known: Names of the cameras that there are.
        wanted: Those that are asked for.
        source: Where they are, for errors.
        aliases: Other words for some of them.

    Raises:
        UserError: There is none; one is unknown or named twice; or none is named of several.
    """
    if not known:
        raise UserError(f"Expected a camera in {source}, got none. Record the dataset with images.")
    if wanted is None:
        if len(known) > 1:
            raise UserError(
                f"Expected the names of cameras in {source}, which has {', '.join(known)}, got "
                f"none. Choose with cameras=[{known[0]}], or name several."
            )
        return tuple(known)
    names = [wanted] if isinstance(wanted, str) else list(wanted) or list(known)
    words = {**(aliases or {}), **{name: name for name in known}}
    if unknown := [name for name in names if name not in words]:
        raise UserError(f"no camera '{unknown[0]}' in {source}; {nearest(unknown[0], known)}")
    chosen = tuple(words[name] for name in names)
    if len(set(chosen)) < len(chosen):
        raise UserError(f"Expected each camera of {source} once, got {', '.join(names)}.")
    return chosen


def wanted_cameras(camera: str | None, cameras: Sequence[str]) -> Wanted:
    """What the settings ``camera=…`` and ``cameras=[…]`` ask for together.

    Raises:
        UserError: Both are given.
    """
    if camera is not None and cameras:
        raise UserError(
            f"Expected camera=… or cameras=[…], got camera={camera} and "
            f"cameras=[{','.join(cameras)}]. Leave out camera."
        )
    return tuple(cameras) or camera
