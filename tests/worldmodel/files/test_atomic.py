from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import pytest

from worldmodel.files import atomic
from worldmodel.files.atomic import replacing, write_json
from worldmodel.files.disk import NoRoomError

KILLED = """
import os, signal, sys
from pathlib import Path
from worldmodel.files.atomic import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder/file"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with contextlib.suppress(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_two_that_replace_a_file_at_once_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert names(tmp_path) == ["file"]


def test_what_a_killed_process_left_is_no_result_and_is_removed_by_the_next(tmp_path):
    path = tmp_path / "file.parquet"
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", KILLED, str(path)]
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    assert len(names(tmp_path)) == 1
    assert not list(tmp_path.rglob("*.parquet"))
    with replacing(path) as temporary:
        assert len(names(tmp_path)) == 1
        temporary.write_text("whole")
    assert names(tmp_path) == ["file.parquet"]


def test_a_folder_that_another_process_took_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    made = []

    def swept(*arguments):
        made.append(mkdtemp(*arguments))
        if len(made) == 1:
            os.rmdir(made[0])
            Path(made[0]).touch()  # so that nobody makes it again
        return made[-1]

    monkeypatch.setattr(atomic, "mkdtemp", swept)
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("whole")
    assert len(made) == 2
    assert (tmp_path / "file").read_text() == "whole"


def test_a_full_disk_leaves_the_old_file_and_is_named(tmp_path, small_files):
    write_json(tmp_path / "a.json", {"old": 1})
    with small_files(1000):
        with pytest.raises(NoRoomError, match=rf"at least 2\.1 kB free in {tmp_path} for a\.json"):
            write_json(tmp_path / "a.json", {"new": "x" * 2000})
        with (
            pytest.raises(NoRoomError, match=r"over 1\.0 kB free in .* for b"),
            replacing(tmp_path / "b") as temporary,
        ):
            temporary.write_bytes(bytes(5000))
    assert names(tmp_path) == ["a.json"]
    assert (tmp_path / "a.json").read_text() == '{\n    "old": 1\n}'
