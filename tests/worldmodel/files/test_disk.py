from __future__ import annotations

import errno
import os
from math import floor
from pathlib import Path

import pytest

from worldmodel.files.disk import NoRoomError, allocate, in_units, needing_room

MEGABYTE = 10**6


def raised(error: Exception, path: Path, size: int = 0, partial: Path | None = None) -> str:
    with pytest.raises(NoRoomError) as caught, needing_room(path, size, partial):
        raise error
    return str(caught.value)


def of_torch() -> Exception:
    error = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        of_torch(),
        ValueError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_whatever_a_full_disk_raises_becomes_a_line_that_says_where_and_how_much(tmp_path, error):
    text = raised(error, tmp_path / "new/file.bin", 2**60)
    assert text.startswith(f"Expected at least 1152921.6 TB free in {tmp_path} for file.bin, got ")
    assert "B (" in text
    assert text.endswith(" Make room there and run again, or use another folder.")


def test_where_nobody_knows_the_size_what_was_written_counts(tmp_path):
    partial = tmp_path / "partial"
    partial.write_bytes(bytes(5000))
    error = OSError(errno.ENOSPC, "")
    assert "Expected over 5.0 kB free in" in raised(error, tmp_path / "a", 0, partial)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "no"), ValueError("28")])
def test_other_errors_are_left_alone(tmp_path, error):
    with pytest.raises(type(error)) as caught, needing_room(tmp_path / "a"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("free", [0, 1, 999, 1000, 99_999, MEGABYTE, 7 * 10**9 + 1])
def test_what_is_needed_never_looks_like_what_is_free(free):
    assert in_units(free + 1) != in_units(free, floor)


@pytest.mark.parametrize("supported", [True, False])
def test_allocated_bytes_have_blocks_and_keep_what_is_there(tmp_path, monkeypatch, supported):
    def unsupported(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    if not supported:
        monkeypatch.setattr(os, "posix_fallocate", unsupported)
    with (tmp_path / "a").open("w+b") as file:
        file.write(b"begun")
        file.flush()
        allocate(file.fileno(), 3 * MEGABYTE)
        allocate(file.fileno(), MEGABYTE)
    assert (tmp_path / "a").stat().st_blocks * 512 >= 3 * MEGABYTE
    assert (tmp_path / "a").read_bytes() == b"begun" + bytes(3 * MEGABYTE - 5)


def test_more_than_is_free_is_refused_before_a_block_is_taken(tmp_path):
    with (tmp_path / "a").open("w+b") as file:
        with pytest.raises(OSError, match="No space left"):
            allocate(file.fileno(), 2**60)
        assert os.fstat(file.fileno()).st_blocks == 0
