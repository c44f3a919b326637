"""Experiments are typed, are what the results in the repository were made with, and all there is.

An experiment is what a row, a figure or a picture of the documentation was run with.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from worldmodel.cli.configuration import composed, load, typed
from worldmodel.cli.listing import COMMANDS
from worldmodel.cli.main import main
from worldmodel.cli.options import experiments
from worldmodel.errors import UserError

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("configs/experiment/*/*.yaml"))
SCRIPTS = sorted(ROOT.glob("benchmarks/*.sh"))
PAGES = [ROOT / "README.md", ROOT / "benchmarks/README.md", *sorted(ROOT.glob("docs/*.md"))]
GIVEN = {"train": ["data=d"], "subgoals": ["data=d"], "study": ["data=d"]}
NAMED = re.compile(r"worldmodel (\w+) (?:-m )?\+experiment=(\w+)")


def configuration(command: str, name: str, *words: str) -> Any:
    load(command)
    given = [*GIVEN.get(command, []), "out=o", *words]
    return typed(composed(command, [f"+experiment={name}", *given]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_an_experiment_is_a_typed_configuration_of_its_command(file: Path) -> None:
    assert file.stem in experiments(file.parent.name)
    config = configuration(file.parent.name, file.stem)
    for point in getattr(getattr(config, "frontier", None), "points", ()):
        config.frontier.plan(point).resolved()
    if file.parent.name == "bench":
        config.anytime.plan.resolved()


def test_a_name_is_of_one_experiment() -> None:
    assert {file.parent.name for file in FILES} <= set(COMMANDS)
    assert len({file.stem for file in FILES}) == len(FILES)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_name_experiments_that_are_there(script: Path) -> None:
    named = NAMED.findall(script.read_text())
    assert named
    for command, name in named:
        assert name in experiments(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_experiments_that_are_there(page: Path) -> None:
    for command, name in NAMED.findall(page.read_text()):
        assert name in experiments(command)


def _results(name: str) -> dict[str, Any]:
    stem = name.removesuffix("_results")
    content: dict[str, Any] = json.loads((ROOT / f"benchmarks/results/{stem}.json").read_text())
    return content


RECORDED = [
    file.stem
    for file in FILES
    if file.parent.name == "plan"
    and (ROOT / f"benchmarks/results/{file.stem.removesuffix('_results')}.json").exists()
]


@pytest.mark.parametrize("name", RECORDED)
def test_an_experiment_runs_what_its_results_were_made_with(name: str) -> None:
    found, config = _results(name), configuration("plan", name)
    protocol = found["protocol"]
    assert (found["task"], found["n"], found["seed"]) == (
        config.task.name,
        config.episodes,
        config.seed,
    )
    assert set(found["baselines"]) == set(config.baselines)
    assert protocol.get("appearance", protocol.get("scenery")) == config.appearance
    assert found["checkpoint"]["name"] == config.checkpoint
    assert protocol["threads"] == config.threads
    real_time = found.get("real_time") or {}
    assert real_time.get("hz") == config.hz
    search = found["planner"]
    for old, new in (("fast", "low_level"), ("slow", "high_level")):
        if old in search:
            level = getattr(config.planner, new)
            assert search[old]["samples"] == level.samples
            assert search[old]["iterations"] == level.iterations
    if "samples" in search:
        names = ("samples", "iterations", "horizon", "elites", "proposals", "std")
        assert {n: search[n] for n in names} == {n: getattr(config.planner, n) for n in names}
    for key in ("energy", "goal_weight", "pessimism", "prior", "search_std", "budget_steps"):
        assert protocol[key] == getattr(config.task, key)


def test_most_results_have_their_experiment() -> None:
    assert len(RECORDED) >= 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("plan +experiment=push_result", "unknown experiment 'push_result'; did you mean 'push_r"),
        ("plan +experiment=frontier", "experiment 'frontier' is one of `worldmodel bench`"),
        ("import +experiment=frontier source=s", "experiment 'frontier' is one of `worldmodel ben"),
        ("import +experiment=mine source=s", "unknown experiment 'mine'; this command has none"),
        ("plan experiment=push_results", "write +experiment=push_results, with a plus"),
    ],
)
def test_an_experiment_that_a_command_has_not_is_refused_in_one_line(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    load("bench")  # whose experiments are not to be taken for the command's
    command, *rest = words.split()
    assert main([command, *rest, "out=o"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_what_follows_an_experiment_outweighs_it() -> None:
    config = configuration("plan", "push_results", "episodes=3", "planner=cem", "task=reach")
    assert (config.episodes, config.task.name, config.batch) == (3, "reach", 20)
    assert type(config.planner).__name__ == "CEMConfig"
    assert config.planner.horizon == 2, "what the task decides of a planner is the new task's"


def test_help_lists_the_experiments_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "--help"]) == 0
    assert "+experiment=diagnosis" in capsys.readouterr().out


def test_a_wrong_value_beside_an_experiment_is_refused_by_its_key() -> None:
    with pytest.raises(UserError, match="Expected episodes of at least 1, got 0"):
        configuration("plan", "push_results", "episodes=0")
