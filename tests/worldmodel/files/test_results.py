from __future__ import annotations

import os
from functools import partial

import pytest

from worldmodel.errors import UserError
from worldmodel.files.atomic import write_json, write_text
from worldmodel.files.disk import NoRoomError
from worldmodel.files.results import Results


def full(path):
    raise NoRoomError(f"no room for {path.name}.")


def test_a_file_that_cannot_be_written_stops_no_other_and_is_named_at_the_end(tmp_path):
    results = Results(tmp_path / "out")
    (tmp_path / "out/taken").mkdir()
    for name in ("a", "b"):
        results.write(name, full)
    results.write("taken", partial(write_text, text=""))
    results.write("d.json", partial(write_json, content={}))
    assert (tmp_path / "out/d.json").exists()
    with pytest.raises(UserError, match=r"^no room for a\. Not written either: b, taken\.$"):
        results.finish()


def test_a_file_that_is_written_in_the_end_is_not_missing(tmp_path):
    results = Results(tmp_path)
    results.write("a", full)
    results.write("a", partial(write_text, text="a"))
    results.finish()  # raises nothing
    assert (tmp_path / "a").read_text() == "a"


def test_room_is_kept_until_it_is_released_and_leaves_nothing(tmp_path):
    results = Results(tmp_path, 10**6)
    reserve = results._reserve
    assert os.fstat(reserve.fileno()).st_blocks * 512 >= 10**6
    assert list(tmp_path.iterdir()) == []
    results.release()
    assert reserve.closed


def test_a_folder_without_room_for_the_least_is_refused(tmp_path):
    with pytest.raises(NoRoomError, match=rf"free in {tmp_path} for results, got"):
        Results(tmp_path, 2**60)
