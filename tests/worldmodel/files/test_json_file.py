"""Whatever a file holds, settings are read from it or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from worldmodel.errors import UserError
from worldmodel.files.json_file import read_json


def read(folder: Path, content: bytes, **settings: object) -> dict:
    (folder / "config.json").write_bytes(content)
    return read_json(folder / "config.json", "Copy it anew.", **settings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1', "delimiter"),
        (b"[1]", "expected settings by name"),
        (b'{"a": "\xff"}', "utf-8"),
        (b'{"a": NaN}', "finite number for 'a', got nan"),
        (b'{"a": {"b": [1, 1e999]}}', r"finite number for 'a\.b\.1', got inf"),
        (b'{"a": -Infinity}', "got -inf"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "key 'c' twice"),
        (b'{"a": ' + 100 * b"[" + 100 * b"]" + b"}", "nested too deeply"),
        (b'{"a": ' + 10**6 * b"[", "nested too deeply"),
        (b'{"a": ' + 5000 * b"9" + b"}", "digits"),
        (b" " * (16 * 2**20 + 1), "at most 16 MiB"),
    ],
    ids=range(12),
)
def test_what_is_no_plain_json_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=rf"config\.json is damaged \(.*{message}") as caught:
        read(tmp_path, content)
    assert str(caught.value).endswith("Copy it anew.")
    assert "\n" not in str(caught.value)


def test_a_measurement_that_could_not_be_taken_may_be_nan(tmp_path: Path) -> None:
    content = b'{"record": {"error": [NaN]}}'
    assert read(tmp_path, content, unmeasured=("record",))["record"]["error"][0] != 0
    with pytest.raises(UserError, match=r"record\.error\.0"):
        read(tmp_path, content, unmeasured=("error",))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist\. Copy it anew"):
        read_json(tmp_path / "none.json", "Copy it anew.")
    with pytest.raises(UserError, match="is damaged"):
        read_json(tmp_path, "Copy it anew.")
