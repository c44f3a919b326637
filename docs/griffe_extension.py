"""What the reference needs to be told of the package, beyond what griffe reads by itself."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)>>> .*(?:\n\1 *\S.*)*", re.MULTILINE)
_FLAGS = re.compile(r" *# doctest: .*$", re.MULTILINE)


class PydanticDataclasses(griffe.Extension):
    """Gives a pydantic dataclass the signature of a dataclass, with its defaults."""

    def on_class_instance(self, *, cls: griffe.Class, **_: Any) -> None:
        """Read the decorator as that of the standard library."""
        for decorator in cls.decorators:
            if decorator.callable_path == "pydantic.dataclasses.dataclass":
                decorator.value = griffe.ExprName("dataclass", parent="dataclasses")


class Examples(griffe.Extension):
    """Shows doctests as code; Markdown would take them for quotations of quotations."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """A docstring with its examples as blocks of code, and ``::`` before a block as a colon."""

    def block(found: re.Match[str]) -> str:
        indent = found[1]
        return f"{indent}```pycon\n{_FLAGS.sub('', found[0])}\n{indent}```"

    return _EXAMPLE.sub(block, text).replace("::\n\n", ":\n\n")
