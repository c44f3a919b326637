"""Errors that a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Collection

__all__ = ["UserError", "nearest"]


class UserError(ValueError):
    """A wrong input, told in one line: what was expected, what came, what to do.

    The command line prints the message and exits with 1; a traceback appears only with ``--debug``.
    """


def nearest(name: str, valid: Collection[str]) -> str:
    """What to say of an unknown name: the valid one that is nearest, or all of them.

    >>> nearest("pull", ["push", "pullover"])
    "did you mean 'pullover'?"
    """
    matches = difflib.get_close_matches(name, valid, n=1)
    return f"did you mean '{matches[0]}'?" if matches else f"expected one of {', '.join(valid)}"
