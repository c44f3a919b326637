"""A `.pt` is read where its directory says, whatever a header in it claims."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest
import torch

from worldmodel.weights import archive
from worldmodel.weights.archive import is_among, read_records

NAME, PADDING = 26, 28  # where a header before a record tells their lengths


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save({"a": torch.zeros(12), "b": torch.ones(12)}, tmp_path / "x.pt")
    return tmp_path / "x.pt"


def test_numbers_are_known_by_their_checksum(file: Path) -> None:
    records = read_records(file)
    assert is_among(records, torch.ones(12).untyped_storage())
    assert not is_among(records, torch.full((12,), 2.0).untyped_storage())
    assert not is_among(records, torch.ones(11).untyped_storage())


@pytest.mark.parametrize("field", [NAME, PADDING])
def test_a_header_that_leads_to_the_next_record_is_refused(file: Path, field: int) -> None:
    whole = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as stored:
        here, there = (stored.getinfo(f"x/data/{i}").header_offset for i in (0, 1))
    (length,) = struct.unpack_from("<H", whole, here + field)
    struct.pack_into("<H", whole, here + field, length + there - here)
    file.write_bytes(whole)
    with pytest.raises(ValueError, match=r"x/data/0 is not where it should be"):
        read_records(file)


def test_a_changed_name_is_found(file: Path) -> None:
    whole = file.read_bytes()
    assert whole.count(b"X\1\0\0\0a") == 1  # as it is pickled
    file.write_bytes(whole.replace(b"X\1\0\0\0a", b"X\1\0\0\0c"))
    with pytest.raises(zipfile.BadZipFile, match=r"data\.pkl"):
        read_records(file)


def test_what_is_no_tensor_has_a_largest_size(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_PICKLED", 100)
    with pytest.raises(ValueError, match=r"x/data\.pkl takes \d+ bytes"):
        read_records(file)


def test_names_that_are_no_ascii_are_read(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(tmp_path / "y.pt", "w") as new:
        for name in old.namelist():
            new.writestr(name.replace("x/", "ä/"), old.read(name))
    assert {size for size, _ in read_records(tmp_path / "y.pt")} >= {48}
