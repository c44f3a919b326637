"""Columns of parquet files as arrays of numbers; what is no number is told with its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from worldmodel.data.episode import Floats, Indices
from worldmodel.data.lerobot import layout
from worldmodel.errors import UserError

__all__ = [
    "COLLECT_AGAIN",
    "read_table",
    "real_numbers",
    "require_columns",
    "row_count",
    "unreadable",
    "vectors",
    "whole_numbers",
    "words",
]

COLLECT_AGAIN = (
    "rerun the collect command that made it (finished shards are kept), or copy it again."
)

_MEND = "Mend the column or convert the dataset again."


def row_count(path: Path) -> int:
    """How many rows a parquet says it has, without reading them.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        return int(pq.read_metadata(path).num_rows)
    except Exception as error:  # of damaged files pyarrow raises errors of many kinds
        raise unreadable(path, error) from error


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
    """Reads ``columns`` of a parquet, and those of ``optional`` that it has.

    Raises:
        UserError: The file cannot be read, lacks a column or has one twice.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            present = list(file.schema_arrow.names)
            if not (lacking := [c for c in columns if present.count(c) != 1]):
                wanted = [*columns, *(c for c in optional if present.count(c) == 1)]
                return file.read(columns=wanted)
    except Exception as error:  # of damaged files pyarrow raises errors of many kinds
        raise unreadable(path, error) from error
    raise _lacking(path, lacking, present)


def require_columns(path: Path, columns: Sequence[str]) -> None:
    """Raises UserError unless a parquet has these columns; none is read."""
    if not columns:
        return
    try:
        present = list(pq.read_schema(path).names)
    except Exception as error:  # of damaged files pyarrow raises errors of many kinds
        raise unreadable(path, error) from error
    if lacking := [column for column in columns if present.count(column) != 1]:
        raise _lacking(path, lacking, present)


def _lacking(path: Path, lacking: Sequence[str], present: Sequence[str]) -> UserError:
    return UserError(
        f"Expected the columns {', '.join(lacking)} in {path}, once each, got "
        f"{', '.join(present)}. Convert the dataset to LeRobotDataset {layout.VERSION} with "
        "LeRobot."
    )


def unreadable(path: Path, error: Exception | str) -> UserError:
    """What to say of a file that a library could not read."""
    why = str(error) if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return UserError(
        f"Cannot read {path}: it is missing, truncated or corrupt ({_one_line(why)}). Delete it "
        f"and {COLLECT_AGAIN}"
    )


def whole_numbers(table: pa.Table, name: str, path: Path, least: int | None = 0) -> Indices:
    """A column as int64 ``[F]``; whole numbers may be stored as floats or as lists of one.

    Args:
        table: Rows of a parquet.
        name: Of the column.
        path: The parquet, for errors.
        least: The smallest number allowed; None for any.

    Raises:
        UserError: A value is missing, no whole number or too small.
    """
    values = _single(table, name, path)
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
    # The cast is wrong beyond 2**63, where it wraps, and beyond 2**53 floats are no longer exact.
    wrong = (whole != values) | ~np.isfinite(values) | (np.abs(values / 2.0**53) > 1)
    if least is not None:
        wrong |= whole < least
    if wrong.any():
        row, above = int(wrong.argmax()), "" if least is None else f" from {least} on"
        held = "NaN or no value" if np.isnan(values[row]) else f"{values[row]:g}"
        raise UserError(
            f"Expected whole numbers{above} in {path}, column '{name}', got {held} in row {row}. "
            f"{_MEND}"
        )
    return whole


def real_numbers(table: pa.Table, name: str, path: Path) -> npt.NDArray[np.float64]:
    """A column as float64 ``[F]``, NaN where it has no value; may be stored as lists of one.

    Raises:
        UserError: A value is no number.
    """
    return _single(table, name, path).astype(np.float64)


def vectors(table: pa.Table, name: str, path: Path) -> Floats:
    """A column of vectors or of plain numbers as float32 ``[F,width]``, NaN where values lack.

    Booleans become 0 and 1. What is too large for float32 becomes infinite.

    Raises:
        UserError: A value is no number, or vectors differ in width.
    """
    with np.errstate(over="ignore"):
        return _numbers(table, name, path).astype(np.float32)


def words(table: pa.Table, name: str, path: Path) -> list[tuple[str, ...]]:
    """A column of texts or lists of texts as tuples.

    Raises:
        UserError: A value is no text.
    """
    found: list[tuple[str, ...]] = []
    for row, value in enumerate(table[name].to_pylist()):
        texts = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise UserError(
                f"Expected texts in {path}, column '{name}', got {_short(value)} in row {row}. "
                f"{_MEND}"
            )
        found.append(tuple(texts))
    return found


def _single(table: pa.Table, name: str, path: Path) -> npt.NDArray[Any]:
    """A column of one number a row, ``[F]``."""
    values = _numbers(table, name, path)
    if len(values) and values.shape[1] != 1:
        raise UserError(
            f"Expected one number a row in {path}, column '{name}', got {values.shape[1]} in row "
            f"0. {_MEND}"
        )
    return values.reshape(-1)


def _numbers(table: pa.Table, name: str, path: Path) -> npt.NDArray[Any]:
    """A column as numbers ``[F,width]``, NaN where they lack."""
    column = table[name].combine_chunks()
    rows, width = len(column), 1
    there = column.is_valid().to_numpy(zero_copy_only=False)
    values = column.drop_null()
    if _is_list(column.type):
        widths = pc.list_value_length(values).to_numpy(zero_copy_only=False)
        width = int(widths[0]) if len(widths) else 1
        if (unlike := widths != width).any():
            place = np.flatnonzero(there)
            raise UserError(
                f"Expected vectors of one width in {path}, column '{name}', got {width} numbers in "
                f"row {place[0]} and {widths[unlike][0]} in row {place[unlike][0]}. {_MEND}"
            )
        values = values.flatten()
    kind = values.type
    if pa.types.is_boolean(kind):
        values = values.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        row = int(there.argmax()) if there.any() else 0
        held = _short(column[row].as_py()) if rows else "no row"
        raise UserError(
            f"Expected numbers in {path}, column '{name}', got {column.type}: {held} in row "
            f"{row}. {_MEND}"
        )
    numbers = values.to_numpy(zero_copy_only=False).reshape(int(there.sum()), width)
    if there.all():
        return numbers
    filled = np.full((rows, width), np.nan)
    filled[there] = numbers
    return filled


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _short(value: object) -> str:
    text = _one_line(repr(value))
    return text if len(text) < 60 else f"{text[:57]}..."


def _one_line(text: str) -> str:
    return " ".join(text.split())
