"""What every composition sees to: paths, lists of one, sweeps, options that are not there."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hydra.types import RunMode

from worldmodel.cli.composition import loader
from worldmodel.cli.configuration import composed, load
from worldmodel.cli.listing import COMMANDS, PATHS
from worldmodel.errors import UserError

HOME = "/home/reader"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", HOME)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_path_of_a_command_is_expanded(command: str) -> None:
    config, _ = load(command)
    paths = [field.name for field in dataclasses.fields(config) if field.name in PATHS]
    composition = composed(command, [f"{path}=~/x" for path in paths])
    assert {str(composition[path]) for path in paths} == {f"{HOME}/x"}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_described_as_a_folder_or_a_file_is_among_the_paths(command: str) -> None:
    config, _ = load(command)
    described = re.findall(
        r"^ {4,8}(\w+): (?:Folder|Path|Image file|World checkpoint|One of Meta's)",
        config.__doc__ or "",
        re.M,
    )
    assert "out" in described
    assert set(described) <= set(PATHS)


@pytest.mark.parametrize(
    ("word", "key", "expected"),
    [
        ("tokens.checkpoint=~/x", "tokens.checkpoint", f"{HOME}/x"),
        ("out='~/data'", "out", f"{HOME}/data"),
        ("out=${checkpoint} checkpoint=~/x", "out", f"{HOME}/x"),
        ("out=a~b", "out", "a~b"),
    ],
)
def test_a_path_is_expanded_however_it_is_written(word: str, key: str, expected: str) -> None:
    load("bench")
    config = composed("bench", word.split())
    for part in key.split("."):
        config = config[part]
    assert config == expected


def test_every_path_of_a_list_is_expanded() -> None:
    load("plan")
    assert composed("plan", ["goal=[~/a.png,b.png]"]).goal == [f"{HOME}/a.png", "b.png"]


def test_so_is_the_folder_of_a_sweep() -> None:
    load("plan")
    words = ["out=~/x", "hydra.sweep.dir=${out}"]
    assert loader().load_configuration("plan", words, RunMode.MULTIRUN).hydra.sweep.dir == (
        f"{HOME}/x"
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("out=", "^out= is empty; give a path$"),
        ("out='  '", "^out= is empty; give a path$"),
        ("random_encoder_checkpoint=", "^random_encoder_checkpoint= is empty"),
        ("goal=['']", "^goal= is empty"),
        ("out=~no-such-user/x", "^out=~no-such-user/x: no home folder is known for it"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(word: str, message: str) -> None:
    load("plan")
    with pytest.raises(UserError, match=message):
        composed("plan", [word])


def test_a_single_value_will_do_where_a_list_is_wanted() -> None:
    load("plan")
    config = composed("plan", ["baselines=random", "planner.active_dims=3", "episodes=2"])
    assert (config.baselines, config.planner.active_dims) == (["random"], [3])


def test_a_value_of_the_wrong_type_is_not_taken_for_a_list() -> None:
    load("plan")
    with pytest.raises(UserError, match=r"^planner.active_dims=x: Value 'x' of type 'str'"):
        composed("plan", ["planner.active_dims=x"])


def test_a_group_of_the_users_without_a_schema_is_told_of(tmp_path: Path) -> None:
    from worldmodel.cli.configuration import typed

    load("plan")
    (tmp_path / "planner").mkdir()
    (tmp_path / "planner/mine.yaml").write_text("samples: 3\n")
    (tmp_path / "mine.yaml").write_text("out: o\n")
    source = loader(str(tmp_path))
    with pytest.raises(UserError, match=r"^planner: its YAML has no schema; begin it with"):
        typed(composed("plan", ["planner=mine", "out=o"], source))
    with pytest.raises(UserError, match=r"^the configuration has no schema; begin its YAML with"):
        typed(composed("plan", [], source, "mine"))


def test_yaml_that_cannot_be_read_is_told_with_its_place(tmp_path: Path) -> None:
    load("plan")
    (tmp_path / "mine.yaml").write_text("defaults: [plan\nseed: 1")
    with pytest.raises(UserError, match=r"cannot be composed: .*mine\.yaml\", line 2"):
        composed("plan", [], loader(str(tmp_path)), "mine")
