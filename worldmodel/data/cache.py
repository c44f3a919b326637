"""Arrays on disk that are computed once, row by row, and survive a kill."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import dtype_to_descr, open_memmap, write_array_header_2_0
from tqdm import tqdm

from worldmodel.errors import UserError
from worldmodel.files.disk import allocate, needing_room
from worldmodel.files.locks import locked

__all__ = ["Fill", "computed_once"]

Fill = Callable[[npt.NDArray[Any], int], Iterator[int]]
"""``fill(array, row)`` writes the rows from ``row`` on; it yields how many are complete so far."""

_SECONDS_BETWEEN_MARKS = 2.0


def computed_once(
    path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike, fill: Fill, title: str
) -> np.memmap[Any, Any]:
    """The array at ``path``, whose changes stay in memory, computed by ``fill`` if it is not there.

    Until it is complete it is called ``<name>.part``, and ``<name>.rows`` holds the number of
    complete rows, from which the next call goes on. Whoever computes it holds ``<name>.lock``;
    other processes wait for it. A complete array needs no lock, nor a folder that can be written.

    Args:
        path: An ``.npy`` file, named after everything that its content depends on.
        shape: Of the whole array.
        dtype: Of the whole array.
        fill: Computes rows.
        title: Shown by the progress bar.

    Raises:
        UserError: The folder cannot be written, the disk is too full, or the array is corrupt.
    """
    busy = f"{title}: another process fills {path}; waiting for it"
    try:
        if not path.exists():
            with locked(path.with_suffix(".lock"), busy):
                if not path.exists():
                    _compute(path, shape, np.dtype(dtype), fill, title)
    except OSError as error:
        raise UserError(
            f"Cannot write the cache {path}: {error}. Use a writable folder."
        ) from error
    try:
        array = open_memmap(path, mode="c")
    except Exception as error:  # damaged bytes raise nearly anything
        raise UserError(f"Cannot read the cache {path}: {error}. Delete it to redo it.") from error
    if not _is_of(array, shape, dtype):
        raise UserError(
            f"Cannot read the cache {path}: expected {np.dtype(dtype)} {list(shape)}, got "
            f"{array.dtype} {list(array.shape)}. Delete it to redo it."
        )
    return array


def _compute(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], fill: Fill, title: str
) -> None:
    part, mark = path.with_suffix(".part"), path.with_suffix(".rows")
    rows = _complete_rows(part, mark, shape, dtype)
    if not rows:
        part.unlink(missing_ok=True)
        _set_mark(mark, 0)  # before there is a part that an old mark could be taken to belong to
    _allocate(part, shape, dtype, whole=bool(rows))
    _fill(open_memmap(part, mode="r+"), rows, fill, mark, title)
    os.replace(part, path)
    mark.unlink(missing_ok=True)


def _fill(array: np.memmap[Any, Any], start: int, fill: Fill, mark: Path, title: str) -> None:
    def save() -> None:
        array.flush()  # rows are on disk before they are called complete
        _set_mark(mark, rows)

    rows, marked = start, time.monotonic()
    with tqdm(total=len(array), initial=start, desc=title, unit="frame") as bar:
        try:
            for rows in fill(array, start):
                bar.update(rows - bar.n)
                if time.monotonic() - marked > _SECONDS_BETWEEN_MARKS:
                    save()
                    marked = time.monotonic()
        finally:
            save()


def _set_mark(mark: Path, rows: int) -> None:
    """Writes over the old number in place, for which a full disk has room, too."""
    with needing_room(mark), mark.open("r+" if mark.exists() else "w") as file:
        file.write(f"{rows:020d}")


def _complete_rows(part: Path, mark: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    try:
        array, rows = open_memmap(part, mode="r"), int(mark.read_text())
    except Exception:  # damaged bytes raise nearly anything
        return 0
    return rows if _is_of(array, shape, dtype) and 0 <= rows <= len(array) else 0


def _is_of(array: np.memmap[Any, Any], shape: tuple[int, ...], dtype: npt.DTypeLike) -> bool:
    return array.shape == shape and array.dtype == np.dtype(dtype) and array.flags.c_contiguous


def _allocate(part: Path, shape: tuple[int, ...], dtype: np.dtype[Any], *, whole: bool) -> None:
    """Takes the room of all rows, also of those that an array that is there was copied without."""
    size = dtype.itemsize * math.prod(shape)
    with needing_room(part, size), part.open("r+b" if whole else "w+b") as file:
        try:
            if whole:
                size = part.stat().st_size
            else:
                header = {"descr": dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
                write_array_header_2_0(file, header)
                file.flush()
                size += file.tell()
            allocate(file.fileno(), size)
        except OSError:
            if not whole:
                part.unlink()
            raise
