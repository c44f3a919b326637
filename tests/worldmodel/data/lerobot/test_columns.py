"""Columns mean the same however they are stored; what means nothing is told with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from worldmodel.data.lerobot.columns import read_table, row_count, vectors, whole_numbers, words
from worldmodel.errors import UserError

PATH = Path("some.parquet")
NAN = float("nan")


def column(values, kind=None):
    return pa.table({"action": pa.array(values, kind)})


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.float32(), 2),
        pa.large_list(pa.float64()),
        pa.list_(pa.int64()),
        pa.list_(pa.bool_()),
    ],
)
def test_vectors_are_the_same_in_whatever_type_they_are_stored(kind):
    held = bool if kind.value_type == pa.bool_() else int
    values = [[held(x) for x in row] for row in ([1, 0], [0, 1], [1, 1])]
    read = vectors(column(values, kind), "action", PATH)
    assert read.dtype == np.float32
    assert read.tolist() == [[1, 0], [0, 1], [1, 1]]


def test_plain_numbers_are_vectors_of_width_one():
    assert vectors(column([1.5, 2.5]), "action", PATH).tolist() == [[1.5], [2.5]]


def test_chunks_and_slices_are_read_as_one_column():
    parts = [column([[9, 9], [1, 2]])[1:], column([[3, 4], [9, 9]])[:1]]
    assert vectors(pa.concat_tables(parts), "action", PATH).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[1.0, 2.0], None], pa.list_(pa.float32())),
        ([[1.0, 2.0], None], pa.list_(pa.float32(), 2)),
        ([[1.0, 2.0], [None, None]], pa.list_(pa.float32())),
    ],
)
def test_what_is_missing_is_nan_in_its_own_row(values, kind):
    read = vectors(column(values, kind), "action", PATH)
    assert read[0].tolist() == [1, 2]
    assert np.isnan(read[1]).all()


def test_what_float32_cannot_hold_is_infinite():
    assert np.isinf(vectors(column([[1e300]]), "action", PATH)).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0], [1.0], [1.0, 2.0]], r"one width .*got 2 numbers in row 0 and 1 in row 1"),
        ([None, [1.0], [1.0, 2.0]], r"got 1 numbers in row 1 and 2 in row 2"),
        ([[[1.0]], [[2.0]]], r"numbers in .*got list<.*list<.*in row 0"),
        (["1", "2"], r"got string: '1' in row 0"),
        ([None, "2"], r"got string: '2' in row 1"),
        ([{"x": 1}], r"got struct<.*in row 0"),
    ],
)
def test_what_is_no_vector_is_told_with_file_column_and_row(values, message):
    with pytest.raises(UserError, match=message) as raised:
        vectors(column(values), "action", PATH)
    assert "some.parquet, column 'action'" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("values", [[3, 4], [3.0, 4.0], [[3], [4]], [[3.0], [4.0]]])
def test_whole_numbers_may_be_stored_as_floats_or_as_lists_of_one(values):
    read = whole_numbers(column(values), "action", PATH)
    assert read.dtype == np.int64
    assert read.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (0.5, "got 0.5 in row 1"),
        (NAN, "got NaN or no value in row 1"),
        (None, "got NaN or no value in row 1"),
        (float("inf"), "got inf in row 1"),
        (-1, "numbers from 0 on .*got -1 in row 1"),
        (2.0**63, r"got 9.22337e\+18 in row 1"),
    ],
)
def test_what_is_no_whole_number_is_told_with_its_row(wrong, message):
    with pytest.raises(UserError, match=rf"some\.parquet, column 'action', {message}|{message}"):
        whole_numbers(column([3.0, None if wrong is None else float(wrong)]), "action", PATH)


def test_several_numbers_are_not_one():
    with pytest.raises(UserError, match=r"one number a row .*'action', got 2"):
        whole_numbers(column([[1, 2]]), "action", PATH)


def test_a_text_is_a_list_of_one_and_a_number_is_none():
    assert words(column(["push", None]), "action", PATH) == [("push",), ()]
    assert words(column([["push", "lift"]]), "action", PATH) == [("push", "lift")]
    with pytest.raises(UserError, match=r"texts in .*column 'action', got 3 in row 0"):
        words(column([3]), "action", PATH)


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(UserError, match=r"columns a in .*once each, got a, a"):
        read_table(path, ["a"])


def test_a_damaged_page_is_noticed_where_its_checksum_was_written(tmp_path):
    path = tmp_path / "x.parquet"
    values = pa.table({"a": np.arange(1000.0)})
    pq.write_table(values, path, compression="none", use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[content.index(np.float64(500.0).tobytes()) + 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"Cannot read .*x\.parquet"):
        read_table(path, ["a"])


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
@pytest.mark.parametrize("read", [row_count, lambda path: read_table(path, ["a"])])
def test_what_is_no_parquet_is_one_clear_line(tmp_path, content, read):
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"Cannot read .*x\.parquet") as raised:
        read(path)
    assert "\n" not in str(raised.value)
