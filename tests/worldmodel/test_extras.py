"""Optional packages are imported where they are needed, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from worldmodel.extras import MissingExtraError, required


def test_an_installed_module_is_imported():
    assert required("json.decoder", extra="all").JSONDecoder


def test_a_package_that_is_absent_is_named_with_the_extra_that_has_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(
        MissingExtraError, match=r"^plotly is not .*: pip install 'worldmodel\[html\]'$"
    ):
        required("plotly.subplots", extra="html")


def test_a_package_that_lacks_something_itself_is_not_called_absent(tmp_path, monkeypatch):
    (tmp_path / "lacking.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        required("lacking", extra="all")


def test_planning_imports_no_optional_package(tiny_checkpoint, tmp_path):
    words = ["plan", "task=reach", "episodes=1", "videos=0", "task.budget_steps=1"]
    words += ["planner.samples=8", "planner.elites=3", "planner.proposals=2", "planner.horizon=4"]
    words += [f"checkpoint={tiny_checkpoint}", f"out={tmp_path}/out"]
    script = (
        f"import sys; from worldmodel.cli.main import main; assert main({words!r}) == 0; "
        "absent = {'h5py', 'plotly', 'tensorboard', 'timm', 'transformers'}; "
        "print(absent & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert done.stdout.splitlines()[-1] == b"set()"
