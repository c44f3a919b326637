"""A folder that appears complete or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from worldmodel.errors import UserError
from worldmodel.files.locks import locked

__all__ = ["new_folder", "require_unused"]


@contextmanager
def new_folder(out: Path) -> Generator[Path]:
    """Yields a hidden folder beside ``out``, which becomes ``out`` when the block succeeds.

    When the block fails, nothing is left. What a killed process left is removed by the next call.

    Raises:
        UserError: ``out`` is in use, another process writes it, or it cannot be written.
    """
    out = Path(os.path.abspath(out))
    require_unused(out)
    partial = out.parent / f".{out.name}.partial"
    busy = f"Another process writes {out}. Let it end, or choose another out=…"
    try:
        with locked(out.parent / f".{out.name}.lock", busy, wait=False):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                yield partial
                require_unused(out)
                partial.replace(out)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise UserError(f"Cannot write {out}: {error}. Choose a writable folder.") from error


def require_unused(out: Path) -> None:
    """Raises UserError if ``out`` is a file or holds anything."""
    if out.is_file() or (out.exists() and any(out.iterdir())):
        raise UserError(f"Expected out={out} to be new or empty; choose another folder")
