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
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("worldmodel", "planners", "envs", "configs")


def requirements(extras: bool = True) -> list[Requirement]:
    project = PROJECT["project"]
    groups = project["optional-dependencies"].values() if extras else []
    return [Requirement(text) for text in sum(groups, project["dependencies"])]


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(package): version for package, version in pairs}


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_what_is_pinned_is_within_the_promised_range(requirement):
    version = pins("constraints.txt")[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


@pytest.mark.parametrize("requirement", requirements(extras=False), ids=lambda r: r.name)
def test_the_lowest_version_that_is_promised_is_one_that_is_tested(requirement):
    tested = pins("constraints-lowest.txt")[canonicalize_name(requirement.name)]
    (lowest,) = (s.version for s in requirement.specifier if s.operator == ">=")
    if requirement.name == "torch":  # the lowest is not tested, see pyproject.toml
        assert Version(lowest) <= Version(tested)
    else:
        assert Version(lowest) == Version(tested)


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
