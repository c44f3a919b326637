"""Arrows run one way: commands -> {worldmodel core, planners, envs}."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Folder, what in it is exempt, and the packages that the rest must not import.
RULES = {
    "planners": ((), ("worldmodel", "envs")),
    "envs": ((), ("worldmodel", "planners")),
    "worldmodel": (
        ("commands", "cli.py", "__main__.py"),
        ("planners", "envs", "worldmodel.commands", "worldmodel.cli"),
    ),
}


def imported(source: str) -> Iterator[str]:
    """Modules that a source imports, anywhere in it; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where an arrow points"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(folder: Path, exempt: tuple[str, ...], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(folder)} imports {module}"
        for path in sorted(folder.rglob("*.py"))
        if path.relative_to(folder).parts[0] not in exempt
        for module in imported(path.read_text())
        if f"{module}.".startswith(tuple(f"{name}." for name in forbidden))
    ]


@pytest.mark.parametrize("package", RULES)
def test_arrows_run_one_way(package):
    assert violations(ROOT / package, *RULES[package]) == []


def test_an_arrow_back_is_seen_even_inside_a_function(tmp_path):
    (tmp_path / "a.py").write_text("def f():\n    from envs.push import PushEnv\n")
    (tmp_path / "b.py").write_text("import environment\nimport worldmodel.errors\n")
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "c.py").write_text("import envs\n")
    assert violations(tmp_path, ("commands",), ("envs",)) == ["a.py imports envs.push.PushEnv"]


def test_planners_read_the_clock_and_wait_in_one_place():
    assert violations(ROOT / "planners", ("clock.py",), ("time", "threading.Condition")) == []
