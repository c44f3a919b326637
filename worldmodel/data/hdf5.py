"""Arrays in HDF5 files, read in parts; whatever is wrong with a file is told in one line.

An array that links to another file is refused: a data set names its own files only.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from worldmodel.data.episode import Frames, Indices
from worldmodel.errors import UserError
from worldmodel.extras import required

if TYPE_CHECKING:
    import h5py

__all__ = [
    "Node",
    "array_at",
    "each_stored_frame",
    "frame_size",
    "is_frames",
    "numbers_at",
    "opened",
    "values",
]

Node: TypeAlias = "h5py.Group"
"""A file or a group in it."""

_BLOCK = 16
"""Frames that are read at once."""


@contextmanager
def opened(path: Path) -> Generator[h5py.File]:
    """Opens a file for reading.

    Raises:
        UserError: The file cannot be read, or its reading in the block fails.
        MissingExtraError: h5py is not installed; the extra ``hdf5`` has it.
    """
    h5py = required("h5py", extra="hdf5")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except UserError:
        raise
    except Exception as error:  # of damaged files h5py raises errors of many kinds
        raise UserError(
            f"Cannot read {path}: it is truncated or corrupt ({' '.join(str(error).split())}). "
            "Copy it again."
        ) from error


def array_at(file: Node, key: str) -> h5py.Dataset:
    """The array called ``key``, not read yet.

    Raises:
        UserError: There is none, or it links to another file.
    """
    found, name = file.get(key), _name(file, key)
    if not isinstance(found, required("h5py", extra="hdf5").Dataset):
        raise UserError(
            f"Expected '{name}' in {file.file.filename}, which lacks it. Copy it again."
        )
    if found.file.filename != file.file.filename or found.external or found.is_virtual:
        raise UserError(
            f"Expected the numbers of '{name}' in {file.file.filename}, got a link to another "
            "file. Leave out the episode."
        )
    return found


def numbers_at(file: Node, key: str, shape: Sequence[int | None]) -> h5py.Dataset:
    """An array of numbers of a shape, of which None is any length but none; not read yet.

    Raises:
        UserError: As `array_at`, or it has another shape or holds no numbers.
    """
    found = array_at(file, key)
    held = found.shape or ()
    fits = len(held) == len(shape) and all(
        size == expected if expected is not None else size > 0
        for size, expected in zip(held, shape, strict=True)
    )
    wanted = ",".join("T" if size is None else str(size) for size in shape)
    if not fits or found.dtype.kind not in "biuf":
        raise UserError(
            f"Expected numbers [{wanted}] in {file.file.filename}['{_name(file, key)}'], got "
            f"{found.dtype} {list(held)}. Leave out the episode."
        )
    return found


def values(found: h5py.Dataset) -> npt.NDArray[np.float64]:
    """The numbers of an array, which must be finite, also as float32.

    Raises:
        UserError: A number is not; the error names the row.
    """
    numbers: npt.NDArray[np.float64] = found[()].astype(np.float64)
    wrong = ~(np.abs(numbers) <= np.finfo(np.float32).max)
    if wrong.any():
        row = int(wrong.reshape(len(wrong), -1).any(axis=1).argmax())
        raise UserError(
            f"Expected finite numbers in {found.file.filename}['{found.name.lstrip('/')}'], got "
            f"NaN or infinity at frame {row}. Leave out the episode."
        )
    return numbers


def is_frames(found: object) -> bool:
    """Whether an array holds RGB frames, ``uint8 [T,h,w,3]`` or ``[T,3,h,w]``."""
    shape: Sequence[int] = getattr(found, "shape", None) or []
    if len(shape) != 4 or getattr(found, "dtype", None) != np.uint8:
        return False
    return 3 in (shape[3], shape[1])


def frame_size(found: h5py.Dataset) -> tuple[int, int]:
    """Height and width of stored frames."""
    shape = found.shape
    return (shape[1], shape[2]) if shape[3] == 3 else (shape[2], shape[3])


def each_stored_frame(path: Path, key: str, rows: Indices) -> Iterator[Frames]:
    """Reads frames of an array, a few at a time.

    Args:
        path: The file.
        key: The array, ``uint8 [T,h,w,3]`` or ``[T,3,h,w]``.
        rows: Which, ascending.

    Yields:
        uint8 ``[h,w,3]``.
    """
    with opened(path) as file:
        found = array_at(file, key)
        for first in range(0, len(rows), _BLOCK):
            part = rows[first : first + _BLOCK]
            block = found[int(part[0]) : int(part[-1]) + 1] if _dense(part) else found[part]
            if _dense(part):
                block = block[part - part[0]]
            yield from (block if found.shape[3] == 3 else block.transpose(0, 2, 3, 1))


def _dense(rows: Indices) -> bool:
    return bool(rows[-1] - rows[0] < 4 * len(rows))


def _name(file: Node, key: str) -> str:
    return f"{file.name}/{key}".strip("/")
