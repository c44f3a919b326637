"""``key=value`` as people type it, made into what Hydra's grammar reads; or one line on why not."""

from __future__ import annotations

import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from worldmodel.cli.listing import PATHS
from worldmodel.errors import UserError

__all__ = ["quoted", "readable"]

_PARTNER = {"(": ")", "[": "]", "{": "}"}
_PLAIN = re.compile(r"[^'\"\[\]{}(),$]+")
_TEXTS = re.compile(r"(\[?)([^'\"\[\]{}$]+)(\]?)")  # one, several with commas, or a list of them


def quoted(value: str) -> str:
    """A string in the quotes of Hydra's grammar, where backslashes count before quotes only.

    >>> print(quoted("epoch=3.pt"))
    'epoch=3.pt'
    """
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    tail = len(escaped) - len(escaped.rstrip("\\"))
    return f"'{escaped}{escaped[len(escaped) - tail :]}'"


def readable(word: str) -> str:
    """The word, its value in quotes where Hydra would not read it as it stands.

    The value is all that follows the first ``=``. A path is always a string: ``out=2026_07`` is no
    number with a digit separator.

    Raises:
        UserError: The word is no ``key=value``, or a bracket or a quote in it is left open.
    """
    key, equals, value = word.partition("=")
    value = value.strip()
    is_path = key.lstrip("+").rpartition(".")[2] in PATHS
    if is_path and value.lower() != "null" and _PLAIN.fullmatch(value):
        return f"{key}={quoted(value)}"
    if equals and not key.strip("+~ "):
        raise UserError(f"expected key=value, got '{word}'; --help after a command lists its keys")
    try:
        OverridesParser.create().parse_override(word)
    except HydraException as error:
        if not equals and not word.startswith("~"):
            raise UserError(
                f"expected key=value, got '{word}'; --help after a command lists its keys"
            ) from error
        _refuse_open(word, value)
        texts = _TEXTS.fullmatch(value)
        if texts and not ("(" in value and "," in value):  # that would have been a call
            opening, inside, closing = texts.groups()
            items = [quoted(item.strip()) for item in inside.split(",")]
            return f"{key}={opening}{','.join(items)}{closing}"
        raise UserError(
            f"{word}: the value cannot be read; put every text in it into quotes, as in "
            f"\"{key}='a=1.png'\" or \"{key}=['a=1.png','b=2.png']\""
        ) from error
    return word


def _refuse_open(word: str, value: str) -> None:
    """Raise a UserError that names a bracket or a quote which is not closed, or not opened."""
    opened, quote, escaped = "", "", False
    for character in value:
        if escaped or character == "\\":
            escaped = not escaped
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _PARTNER:
            opened += character
        elif opened and character == _PARTNER[opened[-1]]:
            opened = opened[:-1]
        elif character in _PARTNER.values():
            raise UserError(f"{word}: {character} closes a bracket that is not open")
    if quote or opened:
        raise UserError(
            f"{word}: {quote or opened[-1]} is not closed; in a shell, put quotes around a whole "
            "word that has spaces in it"
        )
