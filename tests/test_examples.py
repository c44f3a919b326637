"""The scripts of examples/ and the tutorial do what they say, from an empty folder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PUBLIC = {"worldmodel", "worldmodel.planners", "worldmodel.envs"}


def run(script: Path, folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, script, *words],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def example(name: str, folder: Path, *words: str) -> str:
    return run(ROOT / "examples" / name, folder, *words)


def test_an_episode_is_planned_and_kept(tmp_path: Path) -> None:
    told = example("plan_an_episode.py", tmp_path, "--task", "reach", "--steps", "12")
    assert "cm from the goal" in told
    assert (tmp_path / "runs/episode/episode.gif").is_file()


def test_an_energy_of_ones_own_plans_beside_the_built_in(tmp_path: Path) -> None:
    told = example("own_energy.py", tmp_path, "--episodes", "1")
    assert "own: reach: n = 1" in told
    assert "built in: reach: n = 1" in told


def test_a_planner_of_ones_own_plans(tmp_path: Path) -> None:
    assert "push: n = 1" in example("own_planner.py", tmp_path, "--episodes", "1")


def test_arrays_become_a_world_that_plans_in_an_environment_of_ones_own(tmp_path: Path) -> None:
    tiny = ("--episodes", "4", "--steps", "2")
    assert "actions of width 2" in example("train_from_arrays.py", tmp_path, *tiny)
    told = example("own_environment.py", tmp_path, "--trials", "2")
    assert "dot: n = 2" in told
    assert "random" in told


def test_the_tutorial_runs_from_top_to_bottom(tmp_path: Path) -> None:
    told = run(ROOT / "docs" / "tutorial.py", tmp_path)
    assert "reach: n = 2" in told


@pytest.mark.parametrize("script", [*EXAMPLES, ROOT / "docs/tutorial.py"], ids=lambda p: p.name)
def test_a_script_uses_public_names_and_says_how_to_run_it(script: Path) -> None:
    text = script.read_text()
    tree = ast.parse(text)
    if script in EXAMPLES:
        assert len(text.splitlines()) < 60
        assert f"python examples/{script.name}" in (ast.get_docstring(tree) or "")
    modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    modules += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    assert {m for m in modules if m.startswith("worldmodel")} <= PUBLIC
