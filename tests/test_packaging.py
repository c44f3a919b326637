"""What is installed: pinned, within the ranges that are promised, and complete."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
OPTIONAL = ("tensorboard", "html", "hdf5")  # extras for users; the others are for developers
APART = ("encoders",)  # extras for users that `all` leaves out; see pyproject.toml
FOLDERS = ("worldmodel", "planners", "envs", "configs", "benchmarks")
FILES = ("pyproject.toml", "README.md", "LICENSE")


def requirements(*extras: str) -> list[Requirement]:
    """What is needed always, and for some extras; what an extra takes from others is left out."""
    lists = [PROJECT["project"]["dependencies"], *(EXTRAS[name] for name in extras)]
    found = [Requirement(text) for texts in lists for text in texts]
    return [requirement for requirement in found if requirement.name != "worldmodel"]


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(package): version for package, version in pairs}


@pytest.mark.parametrize("requirement", requirements(*EXTRAS), ids=lambda r: r.name)
def test_what_is_pinned_is_within_the_promised_range(requirement):
    version = pins("constraints.txt")[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


@pytest.mark.parametrize("requirement", requirements(*OPTIONAL), ids=lambda r: r.name)
def test_the_lowest_version_that_is_promised_is_one_that_is_tested(requirement):
    tested = pins("constraints-lowest.txt")[canonicalize_name(requirement.name)]
    (lowest,) = (s.version for s in requirement.specifier if s.operator == ">=")
    if requirement.name == "torch":  # the lowest is not tested, see pyproject.toml
        assert Version(lowest) <= Version(tested)
    else:
        assert Version(lowest) == Version(tested)


def test_an_extra_that_an_error_names_installs_what_is_missing():
    calls = [
        node
        for path in (ROOT / "worldmodel").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "required"
    ]
    named = {tuple(ast.literal_eval(v) for v in (c.args[0], c.keywords[0].value)) for c in calls}
    assert {extra for _, extra in named} == {*OPTIONAL, *APART}
    for module, extra in named:
        assert module in [requirement.name for requirement in requirements(extra)]


def test_the_extra_all_is_all_that_users_choose_from():
    (everything,) = (Requirement(text) for text in EXTRAS["all"])
    assert (everything.name, everything.extras) == ("worldmodel", set(OPTIONAL))


def test_what_is_cited_is_the_version_that_is_installed():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = PROJECT["project"]
    assert (cited["title"], cited["version"]) == (project["name"], project["version"])
    assert cited["license"] == project["license"]
    assert cited["authors"] == project["authors"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheel and source distribution, built from a copy: nothing is downloaded, nothing stays."""
    source = tmp_path_factory.mktemp("source")
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    kinds = {"wheel": "*.whl", "sdist": "*.tar.gz"}
    for kind in kinds:
        build = f"import setuptools.build_meta as backend; backend.build_{kind}('.')"
        subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    return {kind: next(source.glob(pattern)) for kind, pattern in kinds.items()}


def test_the_wheel_claims_one_name_and_holds_everything_that_is_read_at_run_time(built):
    with zipfile.ZipFile(built["wheel"]) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        (entry_points,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        assert "worldmodel = worldmodel.cli.main:main" in archive.read(entry_points).decode()
        assert [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
    files = (ROOT / "worldmodel").glob("**/*")
    links = [path for path in (ROOT / "worldmodel").iterdir() if path.is_symlink()]
    inside = [path for link in links for path in link.resolve().rglob("*")]
    present = {str(path.relative_to(ROOT)) for path in files if path.is_file()}
    present |= {
        str(Path("worldmodel", link.name, path.relative_to(link.resolve())))
        for link in links
        for path in inside
        if path.is_file() and path.is_relative_to(link.resolve())
    }
    assert set(names) == {name for name in present if "__pycache__" not in name}
    assert {
        "worldmodel/configs/plan.yaml",
        "worldmodel/envs/tabletop/assets/tabletop.xml",
        "worldmodel/planners/optimizers/cem.py",
        "worldmodel/py.typed",
    } <= set(names)


def test_the_source_distribution_holds_what_the_wheel_holds(built):
    with zipfile.ZipFile(built["wheel"]) as archive:
        wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    with tarfile.open(built["sdist"]) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    assert wheel <= source


@pytest.mark.slow
def test_an_installed_copy_is_not_disturbed_by_other_packages_of_these_names(built, tmp_path):
    """PyPI has an ``envs`` and a ``planners``, and many a robotics project a folder ``envs``."""
    site, project = tmp_path / "site", tmp_path / "project"
    with zipfile.ZipFile(built["wheel"]) as archive:
        archive.extractall(site)
    for name in ("envs", "planners", "configs"):  # as another package of that name installs it
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    (project / "envs").mkdir(parents=True)
    (project / "envs" / "__init__.py").write_text("raise SystemExit('the project's own')\n")
    script = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f)]; "
        "import worldmodel; "
        "from worldmodel.cli.main import main; "
        f"assert worldmodel.__file__.startswith({str(site)!r}), worldmodel.__file__; "
        "sys.exit(main(['plan', 'task=reach', 'episodes=1', 'videos=0', 'out=out']))"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (project / "out" / "report.json").exists()
