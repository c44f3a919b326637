"""The command line: what is asked for runs, and what is wrong ends with one line."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from planners import ICEMConfig
from worldmodel.cli import main
from worldmodel.commands import configuration, plan
from worldmodel.commands.registry import COMMANDS, SCHEMAS


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """The configurations that ``plan`` was run with; nothing is planned."""
    monkeypatch.chdir(tmp_path)
    configs: list[plan.PlanConfig] = []
    monkeypatch.setattr(plan, "run", configs.append)
    return configs


def error_line(capfd: pytest.CaptureFixture[str]) -> str:
    """The only line on stderr."""
    err = capfd.readouterr().err
    assert err.count("\n") == 1, err
    return err.strip()


def test_overrides_reach_the_command_as_its_typed_config(ran):
    words = "plan out=o task=reach episodes=7 planner.samples=33 baselines=[random]"
    assert main(words.split()) == 0
    (config,) = ran
    assert isinstance(config, plan.PlanConfig)
    assert (config.episodes, config.task.name, config.planner.samples) == (7, "reach", 33)
    assert config.baselines == ("random",)
    assert isinstance(config.planner, ICEMConfig)


def test_a_task_decides_what_planners_search_over_unless_told_otherwise(ran):
    main(["plan", "out=o", "task=grasp"])
    main(["plan", "out=o", "task=grasp", "planner.active_dims=[2]"])
    assert [config.planner.active_dims for config in ran] == [(0, 1, 2, 6), (2,)]


@pytest.mark.parametrize("planner", ["hierarchical", "retrieval"])
def test_a_task_decides_likewise_for_the_fast_level_of_two(ran, planner):
    words = f"plan out=o task=grasp planner={planner} planner.fast.samples=33"
    assert main(words.split()) == 0
    (config,) = ran
    fast = config.planner.fast
    assert (fast.active_dims, fast.samples) == ((0, 1, 2, 6), 33)
    assert (fast.std, fast.warm_start) == (config.task.search_std, config.task.warm_start)


def test_a_planner_may_bring_its_energy_which_can_still_be_overridden(ran):
    main(["plan", "out=o", "task=push", "planner=vjepa2_ac"])
    main(["plan", "out=o", "task=push", "planner=vjepa2_ac", "task.metric=l2"])
    published, other = (config.task for config in ran)
    assert (published.energy, published.metric, published.reduce) == ("latent", "l1", "final")
    assert (published.world_energy, published.prior, published.horizon) == ((), False, 12)
    assert (other.energy, other.metric) == ("latent", "l2")


def test_a_single_run_leaves_nothing_behind_in_the_working_directory(ran, tmp_path):
    assert main(["plan", "out=o"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_runs_every_combination_in_a_folder_of_its_own(ran, tmp_path):
    assert main(["plan", "-m", "out=sweep", "task=reach,push", "seed=1,2"]) == 0
    assert [(config.task.name, config.seed) for config in ran] == [
        ("reach", 1),
        ("reach", 2),
        ("push", 1),
        ("push", 2),
    ]
    assert [Path(config.out).resolve() for config in ran] == [
        tmp_path / "sweep" / str(job) for job in range(4)
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]
    assert sys.argv[0] != "worldmodel"
    assert "HYDRA_FULL_ERROR" not in os.environ


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("plan out=o epsiodes=3", "error: unknown key 'epsiodes'; did you mean 'episodes'?"),
        (
            "plan out=o planner.sample=3",
            "error: unknown key 'planner.sample'; did you mean 'planner.samples'?",
        ),
        ("plan out=o task=psh", "error: unknown task 'psh'; did you mean 'push'?"),
        ("plan out=o +zoo=1", "error: unknown key 'zoo'; use key=value without +"),
        ("plan out=o encoder=small", "error: unknown key 'encoder'; expected one of out, task"),
        ("plan out=o episodes=many", "error: episodes=many: Value 'many' of type 'str' could not"),
        ("plan out=o planner.active_dims=[a]", "error: planner.active_dims=[a]: Value 'a'"),
        ("plan out=o episodes", "error: expected key=value, got 'episodes'"),
        ("plan", "error: missing value: out=…"),
        ("plan out=${nowhere}", "error: out: Interpolation key 'nowhere' not found"),
        ("plan out=o episodes=0", "error: Expected episodes of at least 1, got 0"),
        ("plan out=o planner.elites=999", "error: planner: Expected elites of at most samples"),
        ("plan out=o baselines=[oracel]", "error: unknown baseline 'oracel'; did you mean"),
        ("plan out=o scenery=ritch", "error: Expected scenery among plain, rich, got 'ritch'"),
        ("plan out=o pool=tset", "error: Expected pool among train, test, got 'tset'"),
        ("plan -m seed=1,2", "error: missing value: out=…"),
        ("plan -m out=o sed=1,2", "error: unknown key 'sed'; did you mean 'seed'?"),
        ("collect out=o task=psh", "error: unknown task 'psh'; did you mean 'push'?"),
    ],
)
def test_a_wrong_override_ends_with_one_line_that_names_it(ran, capfd, words, expected):
    assert main(words.split()) == 1
    assert error_line(capfd).startswith(expected)
    assert ran == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pln out=o", "error: unknown command 'pln'; did you mean 'plan'?; see worldmodel --help"),
        ("x", f"error: unknown command 'x'; expected one of {', '.join(COMMANDS)};"),
        ("plan --verbose", "error: unknown option '--verbose'; see worldmodel --help"),
    ],
)
def test_wrong_usage_has_its_own_exit_code(capfd, words, expected):
    assert main(words.split()) == 2
    assert error_line(capfd).startswith(expected)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("Expected a cat,\n  got a dog"), "error: Expected a cat, got a dog"),
        (OSError(28, "No space left on device"), "error: [Errno 28] No space left on device"),
        (KeyError("cat"), "error: KeyError: 'cat' (--debug shows the traceback)"),
    ],
)
def test_an_error_of_a_command_is_one_line_and_a_traceback_only_with_debug(
    monkeypatch, capfd, error, expected
):
    def fail(config: plan.PlanConfig) -> None:
        raise error

    monkeypatch.setattr(plan, "run", fail)
    assert main(["plan", "out=o"]) == 1
    assert error_line(capfd) == expected
    with pytest.raises(type(error)):
        main(["plan", "out=o", "--debug"])


def test_an_interrupted_command_says_what_became_of_its_work(monkeypatch, capfd):
    def interrupt(config: plan.PlanConfig) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "run", interrupt)
    assert main(["plan", "out=o"]) == 130
    assert error_line(capfd) == "interrupted: what was written so far is kept"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_of_a_command_is_in_its_help_and_can_be_overridden(command, capsys):
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    config, _ = configuration.load(command)
    for field in dataclasses.fields(config):
        assert f"    {field.name}=" in printed or f"    {field.name}." in printed
    given = [line.strip() for line in printed.split("Defaults:")[1].splitlines()[1:]]
    given = [line.replace("=…  (required)", "=x").replace(" ", "") for line in given]
    composed = configuration.composed(command, given)
    assert isinstance(configuration.typed(composed), config)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_key_of_a_command_is_taken_for_a_group_that_it_does_not_compose(command):
    config, _ = configuration.load(command)
    names = {field.name for field in dataclasses.fields(config)}
    assert names & set(SCHEMAS) == set(COMMANDS[command].groups)


@pytest.mark.parametrize("group", SCHEMAS)
def test_a_group_lists_its_options_and_not_their_schemas(group):
    assert configuration.options(group)
    assert not any("schema" in option for option in configuration.options(group))


def test_help_lists_the_commands_without_importing_anything_heavy():
    program = (
        "import sys; from worldmodel.cli import main; code = main(['--help'])\n"
        "print(sorted({'torch', 'hydra', 'mujoco', 'numpy'} & set(sys.modules)), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    *usage, last = done.stdout.splitlines()
    assert last == "[] 0"
    assert all(any(line.startswith(f"  {name} ") for line in usage) for name in COMMANDS)
