"""One process at a time."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from worldmodel.errors import UserError

__all__ = ["locked"]

_POLL_S = 0.2


@contextmanager
def locked(path: Path, busy: str, *, wait: bool = True) -> Generator[None]:
    """Runs the block while no other process, on this machine or another, holds the lock ``path``.

    The kernel releases the lock of a process that was killed.

    Args:
        path: A file for this purpose alone; made if absent, removed when the block ends.
        busy: What to say when another process holds the lock: what it does, what follows.
        wait: Say it and wait; or say it in an error.

    Raises:
        UserError: Another process holds the lock, and ``wait`` is false.
        OSError: The file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise UserError(busy) from None
            print(busy, file=sys.stderr, flush=True)
            lock.acquire(poll_interval=_POLL_S)
    except NotImplementedError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(path)) from None
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # whoever has it open notices, and locks the next one
        lock.release()
