"""Digests of a collected dataset's files, so that a damaged number is not taken for a measured one.

Parquet and mp4 hold no digest of their own values. Datasets of others, which lack
``meta/checksums.json``, are read as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from worldmodel.errors import UserError
from worldmodel.files.atomic import write_json
from worldmodel.files.json_file import read_json

__all__ = ["CHECKSUMS_PATH", "checked_digest", "read_checksums", "sha256", "write_checksums"]

CHECKSUMS_PATH = "meta/checksums.json"
"""Not part of LeRobotDataset, which ignores it."""

_REMEDY = "Copy the dataset again; where the change is meant, delete this file."


def write_checksums(root: Path, files: Iterable[Path], **planned: str) -> None:
    """Record the digests of files below ``root``, and of texts yet to be written, by their path."""
    digests = {str(path.relative_to(root)): sha256(path) for path in files}
    texts = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in planned.items()}
    write_json(root / CHECKSUMS_PATH, digests | texts)


def read_checksums(root: Path) -> Mapping[str, object] | None:
    """Digests by path below ``root``; None where none were recorded."""
    path = root / CHECKSUMS_PATH
    return read_json(path, _REMEDY) if path.exists() else None


def checked_digest(path: Path, root: Path, recorded: Mapping[str, object] | None) -> str:
    """The digest of a file below ``root``.

    Raises:
        UserError: Another one was recorded.
    """
    digest, name = sha256(path), str(path.relative_to(root))
    if recorded is not None and recorded.get(name) != digest:
        raise UserError(
            f"{path} was changed or damaged after it was collected. Copy the dataset again; where "
            f"the change is meant, delete {root / CHECKSUMS_PATH}."
        )
    return digest


def sha256(path: Path) -> str:
    """Digest of a file, read once and never held in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
