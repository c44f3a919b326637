"""Errors that a user can act on; each message says what was expected, what came, what to do.

All of them are a `UserError`. The command line prints the message in one line and exits with 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

__all__ = [
    "EnvironmentContractError",
    "InputError",
    "PluginError",
    "RegistrationError",
    "SettingsError",
    "UserError",
    "nearest",
]


class UserError(ValueError):
    """A wrong input; a traceback appears on the command line only with ``--debug``."""


class SettingsError(UserError):
    """A setting is missing, unknown, of another type, or out of its bounds."""


class InputError(UserError):
    """Frames, goals or states are not what their contract says."""


class EnvironmentContractError(UserError):
    """An environment does not offer what planning or judging needs."""


class RegistrationError(UserError):
    """A part cannot be registered under this name."""


class PluginError(UserError):
    """A module that registers parts does not import."""


def nearest(name: str, valid: Collection[str]) -> str:
    """What to say of an unknown name: the valid one that is nearest, or all of them.

    >>> nearest("pull", ["push", "pullover"])
    "did you mean 'pullover'?"
    """
    matches = difflib.get_close_matches(name, valid, n=1)
    return f"did you mean '{matches[0]}'?" if matches else f"expected one of {', '.join(valid)}"
