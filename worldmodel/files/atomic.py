"""Files that appear complete or not at all."""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from worldmodel.files.disk import allocate, needing_room

__all__ = ["as_json", "replacing", "write_bytes", "write_json", "write_table", "write_text"]


@contextmanager
def replacing(path: Path, size: int = 0) -> Generator[Path]:
    """Yields a temporary name and moves what is there to ``path`` when the block succeeds.

    Each call has a hidden folder of its own beside ``path`` for it, so that several processes may
    replace ``path`` at once: the last one wins. When the block fails, nothing is left. What a
    killed process left is removed by the next call.

    Args:
        path: The file.
        size: Bytes that it will have, if known: without room for them the block is not entered.

    Raises:
        NoRoomError: The disk is full, whatever the block made of it. ``path`` is as it was.
    """
    with needing_room(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        folder, lock = _own_folder(path)
    partial = folder / "partial"  # no suffix: whoever looks for files by theirs finds none
    try:
        with needing_room(path, size, partial):
            if size:
                with partial.open("w+b") as file:
                    allocate(file.fileno(), size)
            yield partial
            os.replace(partial, path)
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Writes ``content``."""
    with replacing(path, len(content)) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes ``content`` as indented JSON."""
    write_text(path, as_json(content))


def as_json(content: dict[str, Any]) -> str:
    """``content`` as indented JSON."""
    return json.dumps(content, indent=4, ensure_ascii=False)


def write_table(path: Path, table: pa.Table) -> None:
    """Writes ``table`` as parquet."""
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="snappy")
    write_bytes(path, memoryview(content.getvalue()))


def _own_folder(path: Path) -> tuple[Path, FileLock]:
    """A new hidden folder beside ``path``, and the lock in it that tells that its owner lives."""
    while True:
        folder = Path(mkdtemp(".tmp", f".{path.name}.", path.parent))
        lock = FileLock(folder / "lock")
        try:
            lock.acquire()
        except (FileNotFoundError, FileExistsError):
            continue  # another process took it for a leftover before it was locked
        except NotImplementedError:
            return folder, lock  # a file system without locks, on which nobody removes leftovers
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if folder.exists():
            return folder, lock
        lock.release()


def _remove_leftovers(path: Path) -> None:
    for folder in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with (
            suppress(OSError, NotImplementedError),
            FileLock(folder / "lock").acquire(timeout=0),
        ):
            shutil.rmtree(folder, ignore_errors=True)
