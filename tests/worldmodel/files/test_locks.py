from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worldmodel.errors import UserError
from worldmodel.files.locks import locked

LOCKING = """
import sys
from pathlib import Path
from worldmodel.files.locks import locked
with locked(Path(sys.argv[1]), "somebody works; waiting"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def locking(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LOCKING, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_process_says_that_it_waits_and_goes_on_when_the_first_ends(tmp_path):
    with locked(tmp_path / "lock", "unused"):
        second = locking(tmp_path / "lock")
        assert second.stderr.readline() == "somebody works; waiting\n"
    assert second.stdout.readline() == "held\n"
    assert second.communicate("\n") == ("", "")
    assert second.returncode == 0


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    holder = locking(tmp_path / "lock")
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(UserError, match=r"^in use$"),
        locked(tmp_path / "lock", "in use", wait=False),
    ):
        pass
    holder.kill()
    holder.communicate()
    with locked(tmp_path / "lock", "in use", wait=False):
        pass
    assert not list(tmp_path.iterdir())
