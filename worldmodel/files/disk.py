"""Room on a disk: taken before it is needed, and missed in one wording."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import ceil, floor
from pathlib import Path

from worldmodel.errors import UserError

__all__ = ["NoRoomError", "allocate", "in_units", "needing_room"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNABLE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}  # a file system without the call
_CHUNK = bytes(1 << 20)
_BLOCK = 512  # bytes that st_blocks counts, whatever the file system's


class NoRoomError(UserError):
    """A file did not fit on its disk or into its quota."""


@contextmanager
def needing_room(path: Path, size: int = 0, partial: Path | None = None) -> Generator[None]:
    """Makes one line of whatever a full disk raises in the block, which writes ``path``.

    Args:
        path: The file.
        size: Bytes that it needs; 0 where nobody knows.
        partial: What is written in its place until it is complete, and removed if that fails.

    Raises:
        NoRoomError: Names the folder, what was needed, what is free and what to do.
    """
    try:
        yield
    except Exception as error:  # each library has errors of its own for it
        if isinstance(error, UserError) or (reason := _lack(error)) is None:
            raise
        folder = next(parent for parent in path.absolute().parents if parent.is_dir())
        written, free = 0, shutil.disk_usage(folder).free
        if partial is not None and partial.exists():
            written = partial.stat().st_size
            free += partial.stat().st_blocks * _BLOCK
        more = f"over {in_units(written or free, floor)}"
        need = f"at least {in_units(size)}" if size > written else more
        raise NoRoomError(
            f"Expected {need} free in {folder} for {path.name}, got {in_units(free, floor)} "
            f"({reason}). Make room there and run again, or use another folder."
        ) from error


def allocate(file: int, size: int) -> None:
    """Gives an open file all the blocks of its first ``size`` bytes.

    Without them, a memory map that finds the disk full does not raise: it kills the process.

    Args:
        file: Descriptor, open for reading and writing. Bytes that are there stay as they are.
        size: What the file is at least as large as afterwards.

    Raises:
        OSError: There is no room.
    """
    there, disk = os.fstat(file), os.fstatvfs(file)
    # Asked first, as a file system may fill the disk up before it notices.
    if disk.f_blocks and size - there.st_blocks * _BLOCK > disk.f_bavail * disk.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        os.posix_fallocate(file, 0, size)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _UNABLE:
            raise
        at = there.st_size
        while at < size:
            at += os.pwrite(file, _CHUNK[: size - at], at)


def in_units(size: float, rounded: Callable[[float], int] = ceil) -> str:
    """A number of bytes in the unit that fits.

    >>> in_units(7), in_units(2_012_345), in_units(2_012_345, floor)
    ('7 bytes', '2.1 MB', '2.0 MB')
    """
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{rounded(10 * size / unit) / 10} {name}"
    return f"{rounded(size)} bytes"


def _lack(error: BaseException | None) -> str | None:
    """Why there is no room, if that is what an error comes from."""
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        if number is None and (told := re.search(r"os error (\d+)", str(error))):  # of Rust
            number = int(told[1])
        if number in _FULL:
            return os.strerror(number)
        error = error.__cause__ or error.__context__
    return None
