"""Errors that a user can act on."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(ValueError):
    """A wrong input, told in one line: what was expected, what came, what to do.

    The command line prints the message and exits with 1; a traceback appears only with ``--debug``.
    """
