from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.format import open_memmap

from worldmodel.data import cache
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


TOGETHER = """
import os, sys, time
from pathlib import Path
from worldmodel.data import cache

def fill(array, row):
    while len(list(Path(sys.argv[2]).iterdir())) < 4:  # until all have begun
        time.sleep(0.01)
    for row in range(row, 40):
        array[row] = row
        yield row + 1

Path(sys.argv[2], str(os.getpid())).touch()
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


def test_a_full_disk_is_seen_before_anything_is_computed(tmp_path, small_files):
    filler = Filler()
    needed = rf"Expected at least 480 bytes free in {tmp_path} for a\.part, got .*B \("
    with small_files(400), pytest.raises(UserError, match=needed):
        computed(tmp_path / "a.npy", filler)
    assert filler.rows == []
    assert [p.name for p in tmp_path.iterdir()] == ["a.rows"]


def test_a_memory_map_has_all_its_blocks_before_it_is_filled(tmp_path):
    def blocks():
        return (tmp_path / "a.part").stat().st_blocks * 512

    def fill(array, row):
        assert blocks() >= array.nbytes
        if row == 0:
            array[0] = 1
            yield 1
            raise KeyboardInterrupt
        yield 2

    with pytest.raises(KeyboardInterrupt):
        computed_once(tmp_path / "a.npy", (2, 10**6), np.uint8, fill, "rows")
    with (tmp_path / "a.part").open("r+b") as part:  # as a copy that leaves holes
        size = part.seek(0, 2)
        part.truncate(10**6 + 128)
        part.truncate(size)
    assert blocks() < size
    array = computed_once(tmp_path / "a.npy", (2, 10**6), np.uint8, fill, "rows")
    assert array[0].all()


def test_processes_that_need_an_array_at_once_compute_it_once(tmp_path):
    (tmp_path / "begun").mkdir()
    (tmp_path / "cache").mkdir()
    path = tmp_path / "cache/a.npy"
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", TOGETHER, str(path), str(tmp_path / "begun")]
    runs = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0] * 4
    waiting = sum(f"another process fills {path}; waiting for it" in text for text in said)
    assert waiting <= 3  # one that begins late finds the array complete
    unused = Filler()
    assert is_right(computed(path, unused))
    assert unused.rows == []
    assert [p.name for p in path.parent.iterdir()] == ["a.npy"]


def test_a_complete_array_is_read_without_a_lock(tmp_path, monkeypatch):
    computed(tmp_path / "a.npy", Filler())
    monkeypatch.setattr(cache, "locked", lambda *_: pytest.fail("the folder may be read-only"))
    assert is_right(computed(tmp_path / "a.npy", Filler()))


@pytest.mark.parametrize(("shape", "dtype"), [((41, 3), "f4"), ((40, 3), "f2"), ((3, 40), "f4")])
def test_rows_of_another_shape_or_type_are_not_believed(tmp_path, shape, dtype):
    other = open_memmap(tmp_path / "a.part", mode="w+", shape=shape, dtype=dtype)
    del other
    (tmp_path / "a.rows").write_text("17")
    again = Filler(stop_at=0)
    with pytest.raises(KeyboardInterrupt):
        computed(tmp_path / "a.npy", again)
    assert int((tmp_path / "a.rows").read_text()) == 0
    again = Filler()
    assert is_right(computed(tmp_path / "a.npy", again))
    assert again.rows == list(range(ROWS))
    open_memmap(tmp_path / "a.npy", mode="w+", shape=shape, dtype=dtype)
    with pytest.raises(UserError, match=r"expected float32 \[40, 3\], got .*Delete it"):
        computed(tmp_path / "a.npy", Filler())


@pytest.mark.parametrize("mark", ["-1", "41", "", "x"])
def test_a_mark_that_cannot_be_is_not_believed(tmp_path, mark):
    with pytest.raises(KeyboardInterrupt):
        computed(tmp_path / "a.npy", Filler(stop_at=17))
    (tmp_path / "a.rows").write_text(mark)
    again = Filler()
    assert is_right(computed(tmp_path / "a.npy", again))
    assert again.rows == list(range(ROWS))


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
