"""Files that appear complete or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["replacing", "write_json", "write_table"]


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yields a temporary name beside ``path`` and renames it to ``path`` when the block succeeds.

    When the block fails, nothing is left of it. The name is always the same, so what a killed run
    left is overwritten by the next one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes ``content`` as indented JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=4, ensure_ascii=False), encoding="utf-8")


def write_table(path: Path, table: pa.Table) -> None:
    """Writes ``table`` as parquet."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="snappy")
