"""Large arrays in ``.npz`` files, read in parts: numpy would decompress the whole array at once.

A compressed stream can be read from its beginning only, or from a place where the decompressor's
state was kept. So its state is kept every 8 MB of the way, 40 kB each.
"""

from __future__ import annotations

import io
import math
import threading
import zipfile
import zlib
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worldmodel.errors import UserError

__all__ = ["ArrayInZip", "array_names", "array_of"]

_BETWEEN = 8_000_000
_PIECE = 1 << 16
"""Compressed bytes that are read at once; they may become a thousand times as many."""
_HEADER = 10_000
"""Bytes that surely hold the header of an array."""


def array_names(path: Path) -> list[str]:
    """Names of the arrays in a file; none where it is no ``.npz``."""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except Exception:  # of damaged files zipfile raises errors of many kinds
        return []
    return [name.removesuffix(".npy") for name in names if name.endswith(".npy")]


def array_of(path: Path, name: str) -> npt.NDArray[Any]:
    """A small array, all of it.

    Raises:
        UserError: It is missing or damaged, or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found: npt.NDArray[Any] = file[name]
            return found
    except Exception as error:  # of damaged files numpy raises errors of many kinds
        raise _unreadable(path, name, error) from error


@dataclass
class _Mark:
    """A decompressor that has read ``taken`` bytes and given ``given``."""

    given: int
    taken: int
    state: Any


@dataclass(frozen=True, eq=False)
class ArrayInZip:
    """A large array, read some rows at a time, by several threads.

    Attributes:
        path: The ``.npz``.
        name: The array's name.
        shape: Of the array.
        dtype: Of the array.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _compressed: bool
    _begin: int
    _size: int
    _offset: int
    _marks: list[_Mark] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, path: Path, name: str) -> ArrayInZip:
        """Reads the array's header.

        Raises:
            UserError: It is missing or damaged, or not stored row by row.
        """
        try:
            with zipfile.ZipFile(path) as file:
                info = file.getinfo(f"{name}.npy")
                with file.open(info) as member:
                    head = io.BytesIO(member.read(_HEADER))
                version = np.lib.format.read_magic(head)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, columns_first, dtype = read(head)
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError("it is compressed by another method than deflate")
                if columns_first or dtype.hasobject:
                    raise ValueError("it is not stored row by row")
                if info.file_size < head.tell() + math.prod(shape) * dtype.itemsize:
                    raise ValueError("it ends too early")
                with path.open("rb") as raw:
                    raw.seek(info.header_offset + 26)
                    lengths = raw.read(4)
        except Exception as error:  # of damaged files zipfile raises errors of many kinds
            raise _unreadable(path, name, error) from error
        extra = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        return cls(
            path,
            name,
            shape,
            dtype,
            info.compress_type == zipfile.ZIP_DEFLATED,
            info.header_offset + 30 + extra,
            info.compress_size,
            head.tell(),
        )

    def rows(self, first: int, last: int) -> npt.NDArray[Any]:
        """Rows ``first`` to ``last``, the latter left out.

        Raises:
            UserError: The file is damaged.
        """
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        start, wanted = self._offset + first * size, (last - first) * size
        try:
            content = (self._inflated if self._compressed else self._stored)(start, wanted)
        except (OSError, zlib.error) as error:
            raise _unreadable(self.path, self.name, error) from error
        if len(content) != wanted:
            raise _unreadable(self.path, self.name, "it ends too early")
        return np.frombuffer(content, self.dtype).reshape(last - first, *self.shape[1:])

    def _stored(self, start: int, wanted: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self._begin + start)
            return file.read(wanted)

    def _inflated(self, start: int, wanted: int) -> bytes:
        mark = self._mark_before(start)
        state, given, taken = mark.state.copy(), mark.given, mark.taken
        content = bytearray()
        with self.path.open("rb") as file:
            file.seek(self._begin + taken)
            while len(content) < wanted and not state.eof:
                piece = file.read(min(_PIECE, self._size - taken))
                if not piece:
                    break
                plain = state.decompress(piece)
                taken += len(piece)
                content += plain[max(start - given, 0) :][: wanted - len(content)]
                given += len(plain)
                self._keep(given, taken, state)
        return bytes(content)

    def _mark_before(self, start: int) -> _Mark:
        with self._lock:
            if not self._marks:
                self._marks.append(_Mark(0, 0, zlib.decompressobj(-zlib.MAX_WBITS)))
            place = bisect_right(self._marks, start, key=lambda mark: mark.given)
            return self._marks[place - 1]

    def _keep(self, given: int, taken: int, state: Any) -> None:
        with self._lock:
            if given >= self._marks[-1].given + _BETWEEN:
                self._marks.append(_Mark(given, taken, state.copy()))


def _unreadable(path: Path, name: str, error: Exception | str) -> UserError:
    why = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"Cannot read '{name}' of {path}: {why}. Copy the file again.")
