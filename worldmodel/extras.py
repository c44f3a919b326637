"""Packages that only some users need, imported where they are needed.

``pyproject.toml`` names them as extras: tensorboard, html (plotly), hdf5 (h5py) and encoders
(transformers, timm).
"""

from __future__ import annotations

import importlib
from types import ModuleType

from worldmodel.errors import UserError

__all__ = ["MissingExtraError", "required"]


class MissingExtraError(UserError):
    """A package of an extra is not installed; the message says how to get it."""


def required(module: str, *, extra: str) -> ModuleType:
    """Imports a module of an optional package.

    >>> required("absent", extra="all")
    Traceback (most recent call last):
        ...
    worldmodel.extras.MissingExtraError: absent is not installed; run: pip install 'worldmodel[all]'

    Args:
        module: Its full name, such as ``h5py``.
        extra: The extra of this package that installs it.

    Raises:
        MissingExtraError: The package is not installed.
    """
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:  # it is installed, and lacks something itself
            raise
        raise MissingExtraError(
            f"{package} is not installed; run: pip install 'worldmodel[{extra}]'"
        ) from None
    return importlib.import_module(module)
