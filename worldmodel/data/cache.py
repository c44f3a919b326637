"""Arrays on disk that are computed once, row by row, and survive a kill."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap
from tqdm import tqdm

from worldmodel.data.atomic import replacing
from worldmodel.errors import UserError

__all__ = ["Fill", "computed_once"]

Fill = Callable[[npt.NDArray[Any], int], Iterator[int]]
"""``fill(array, row)`` writes the rows from ``row`` on; it yields how many are complete so far."""

_SECONDS_BETWEEN_MARKS = 2.0


def computed_once(
    path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike, fill: Fill, title: str
) -> np.memmap[Any, Any]:
    """The array at ``path``, whose changes stay in memory, computed by ``fill`` if it is not there.

    Until it is complete it is called ``<name>.part``, and ``<name>.rows`` holds the number of
    complete rows, from which the next call goes on.

    Args:
        path: An ``.npy`` file, named after everything that its content depends on.
        shape: Of the whole array.
        dtype: Of the whole array.
        fill: Computes rows.
        title: Shown by the progress bar.

    Raises:
        UserError: The folder cannot be written, the disk is too full, or the array is corrupt.
    """
    part, mark = path.with_suffix(".part"), path.with_suffix(".rows")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = _complete_rows(part, mark)
            array = open_memmap(part, mode="r+") if rows else _allocated(part, shape, dtype)
            _fill(array, rows, fill, mark, title)
            os.replace(part, path)
            mark.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"Cannot write the cache {path}: {error}. Use a writable folder."
        ) from error
    try:
        return open_memmap(path, mode="c")
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read the cache {path}: {error}. Delete it to redo it.") from error


def _fill(array: np.memmap[Any, Any], start: int, fill: Fill, mark: Path, title: str) -> None:
    rows, marked = start, time.monotonic()
    with tqdm(total=len(array), initial=start, desc=title, unit="frame") as bar:
        try:
            for rows in fill(array, start):
                bar.update(rows - bar.n)
                if time.monotonic() - marked > _SECONDS_BETWEEN_MARKS:
                    _set_mark(array, mark, rows)
                    marked = time.monotonic()
        finally:
            _set_mark(array, mark, rows)


def _set_mark(array: np.memmap[Any, Any], mark: Path, rows: int) -> None:
    array.flush()  # rows are on disk before they are called complete
    with replacing(mark) as temporary:
        temporary.write_text(str(rows))


def _complete_rows(part: Path, mark: Path) -> int:
    try:
        open_memmap(part, mode="r")
        return int(mark.read_text())
    except (OSError, ValueError):
        return 0


def _allocated(part: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.memmap[Any, Any]:
    part.unlink(missing_ok=True)
    # A memory map on a full disk does not raise, it kills the process; so ask first.
    needed, free = (
        np.dtype(dtype).itemsize * int(np.prod(shape)),
        shutil.disk_usage(part.parent).free,
    )
    if needed > free:
        raise UserError(
            f"Expected {needed / 1e9:.1f} GB free in {part.parent}, got {free / 1e9:.1f} GB. "
            "Free some, or use another cache folder."
        )
    return open_memmap(part, mode="w+", dtype=np.dtype(dtype), shape=shape)
