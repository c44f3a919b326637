"""What is installed: pinned, within the ranges that are promised, and complete."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("worldmodel", "planners", "envs", "configs")


def requirements() -> list[Requirement]:
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for text in sum(extras, project["dependencies"])]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_what_is_pinned_is_within_the_promised_range(requirement):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {
        canonicalize_name(name): version
        for name, version in (line.split("==") for line in lines if not line.startswith("#"))
    }
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_a_wheel_holds_everything_that_is_read_at_run_time(tmp_path):
    """Built from a copy, without isolation: nothing is downloaded and no build folder stays."""
    source = tmp_path / "source"
    source.mkdir()
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    build = "import setuptools.build_meta as backend; backend.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.startswith("worldmodel-")}
        entry_points = next(n for n in archive.namelist() if n.endswith("entry_points.txt"))
        assert "worldmodel = worldmodel.cli:main" in archive.read(entry_points).decode()
    present = {
        str(path.relative_to(source))
        for name in PACKAGES
        for path in (source / name).rglob("*")
        if path.is_file()
    }
    assert packed == present
    assert {"configs/plan.yaml", "envs/assets/tabletop.xml", "worldmodel/py.typed"} <= packed
