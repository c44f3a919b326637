from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from worldmodel.data.cache import computed_once
from worldmodel.errors import UserError

ROWS = 40

KILLED = """
import signal, sys
from pathlib import Path
from worldmodel.data import cache

cache._SECONDS_BETWEEN_MARKS = -1

def fill(array, row):
    for row in range(row, 20):
        array[row] = row
        yield row + 1
    print("killed here", flush=True)
    signal.pause()

cache.computed_once(Path(sys.argv[1]), (40, 3), "f4", fill, "rows")
"""


class Filler:
    """Row r gets the value r; remembers which rows it was asked for."""

    def __init__(self, stop_at=None):
        self.stop_at, self.rows = stop_at, []

    def __call__(self, array, row):
        for r in range(row, len(array)):
            if r == self.stop_at:
                raise KeyboardInterrupt
            array[r] = r
            self.rows.append(r)
            yield r + 1


def computed(path, filler):
    return computed_once(path, (ROWS, 3), np.float32, filler, "rows")


def is_right(array):
    return np.array_equal(array, np.repeat(np.arange(ROWS), 3).reshape(ROWS, 3))


def test_rows_are_computed_once(tmp_path):
    first, second = Filler(), Filler()
    assert is_right(computed(tmp_path / "a.npy", first))
    assert is_right(computed(tmp_path / "a.npy", second))
    assert first.rows == list(range(ROWS))
    assert second.rows == []
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]


def test_an_interrupted_computation_goes_on_at_its_row(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        computed(tmp_path / "a.npy", Filler(stop_at=17))
    assert not (tmp_path / "a.npy").exists()
    rest = Filler()
    assert is_right(computed(tmp_path / "a.npy", rest))
    assert rest.rows == list(range(17, ROWS))


def test_a_killed_computation_goes_on(tmp_path):
    path = tmp_path / "a.npy"
    command = [sys.executable, "-c", KILLED, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout.readline() == "killed here\n"
    process.kill()
    process.communicate()
    rest = Filler()
    assert is_right(computed(path, rest))
    assert rest.rows == list(range(20, ROWS))


def test_rows_without_a_mark_are_computed_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        computed(tmp_path / "a.npy", Filler(stop_at=17))
    (tmp_path / "a.rows").unlink()
    again = Filler()
    assert is_right(computed(tmp_path / "a.npy", again))
    assert again.rows == list(range(ROWS))


def test_a_change_to_the_array_stays_in_memory(tmp_path):
    array = computed(tmp_path / "a.npy", Filler())
    before = array.copy()
    array[0] += 1
    assert not np.array_equal(array, before)
    assert np.array_equal(computed(tmp_path / "a.npy", Filler()), before)


def test_a_corrupt_cache_is_an_error_that_says_what_to_delete(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"not an array")
    with pytest.raises(UserError, match=r"Cannot read the cache .*a\.npy: .*Delete it"):
        computed(tmp_path / "a.npy", Filler())


def test_a_full_disk_is_seen_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(UserError, match=r"Expected 0\.0 GB free in"):
        computed(tmp_path / "a.npy", Filler())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write the cache .*file/a\.npy"):
        computed(tmp_path / "file/a.npy", Filler())


def test_an_error_of_the_computation_itself_is_passed_on(tmp_path):
    def fill(array, row):
        raise ValueError("wrong frame size")
        yield 0

    with pytest.raises(ValueError, match=r"^wrong frame size$"):
        computed(tmp_path / "a.npy", fill)
