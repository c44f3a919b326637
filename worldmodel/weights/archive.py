"""The zip archive that a ``.pt`` is: every record where its directory says, and with checksums.

PyTorch maps such a file and compares nothing.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import torch

__all__ = ["Records", "is_among", "read_records"]

_PICKLED = 64 * 2**20
"""Bytes of a record that is no tensor, at most: a training state's names take a tenth."""
_HEADER = struct.Struct("<4s22xHH")
"""Before each record, which its name and padding follow."""

Records = frozenset[tuple[int, int]]
"""Size and checksum of all that a file holds; empty where it was written without checksums."""


def read_records(path: Path) -> Records:
    """Read the directory, and all in the file that is no tensor.

    Raises:
        ValueError: A record is compressed, which takes more memory than the file, or too large, or
            lies elsewhere.
        BadZipFile: It is no such archive, or what was read has not its checksum.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        checked = any(info.CRC for info in infos)  # torch.save may be told to write zeros
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{info.filename} is compressed")
            if "/data/" not in info.filename:
                if info.file_size > _PICKLED:
                    raise ValueError(f"{info.filename} takes {info.file_size} bytes")
                if checked:
                    archive.read(info)
        for info, following in pairwise(infos):
            if _start(file, info) + info.file_size > following.header_offset:
                raise ValueError(f"{info.filename} is not where it should be")
    return frozenset((info.file_size, info.CRC) for info in infos if checked)


def _start(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Where PyTorch looks for a record: behind a name and padding as long as told before it."""
    file.seek(info.header_offset)
    signature, name, padding = _HEADER.unpack(file.read(_HEADER.size))
    encoding = "utf-8" if info.flag_bits & 0x800 else "cp437"  # as zipfile decodes names
    if signature != b"PK\3\4" or file.read(name) != info.orig_filename.encode(encoding):
        raise ValueError(f"{info.filename} is not where it should be")
    return info.header_offset + _HEADER.size + name + padding


def is_among(records: Records, storage: torch.UntypedStorage) -> bool:
    """Whether numbers are those of a record, by size and checksum."""
    if not records or not storage.nbytes():
        return True
    numbers = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
    return (storage.nbytes(), zlib.crc32(numbers.data)) in records
