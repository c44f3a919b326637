"""Damaged files are refused in one line, or read as if they were whole; nothing else happens."""

from __future__ import annotations

import pytest
from weights import attempts, formats

# A compact world has many parts, each of which is built again and again.
COUNT = {"compact world": 60, "pt pickle": 100}


@pytest.mark.filterwarnings("ignore")  # of the libraries that read them
@pytest.mark.parametrize("name", formats())
def test_a_damaged_file_is_refused_or_changes_nothing(name: str) -> None:
    found = attempts(name, COUNT.get(name, 200), seed=0)
    assert found.keys() <= {"intact", "refused"}, found
    assert found["refused"]
