"""The command line: what is asked for runs, and what is wrong ends with one line."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf

from worldmodel.cli import configuration
from worldmodel.cli.listing import COMMANDS
from worldmodel.cli.main import main
from worldmodel.commands import collect, plan
from worldmodel.errors import UserError
from worldmodel.planners import ICEMConfig
from worldmodel.registry import GROUPS


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """The configurations that ``plan`` was run with; nothing is planned."""
    monkeypatch.chdir(tmp_path)
    configs: list[plan.Config] = []
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
    assert isinstance(config, plan.Config)
    assert (config.episodes, config.task.name, config.planner.samples) == (7, "reach", 33)
    assert config.baselines == ("random",)
    assert isinstance(config.planner, ICEMConfig)


def test_a_task_decides_what_planners_search_over_unless_told_otherwise(ran):
    main(["plan", "out=o", "task=grasp"])
    main(["plan", "out=o", "task=grasp", "planner.active_dims=[2]"])
    assert [config.planner.active_dims for config in ran] == [(0, 1, 2, 6), (2,)]


@pytest.mark.parametrize("planner", ["hierarchical", "retrieval"])
def test_a_task_decides_likewise_for_the_fast_level_of_two(ran, planner):
    words = f"plan out=o task=grasp planner={planner} planner.low_level.samples=33"
    assert main(words.split()) == 0
    (config,) = ran
    fast = config.planner.low_level
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
        (
            "plan out=o appearance=ritch",
            "error: Expected appearance among plain, rich, got 'ritch'",
        ),
        ("plan out=o split=tset", "error: Expected split among train, test, got 'tset'"),
        ("plan -m seed=1,2", "error: missing value: out=…"),
        ("plan -m out=o sed=1,2", "error: unknown key 'sed'; did you mean 'seed'?"),
        ("plan -m out=a,b", "error: out=a,b: out cannot be swept; give one folder"),
        ("plan out=o task=push,reach", "error: task=push,reach names several: add -m to run each"),
        ("plan out=o seed=1,2", "error: seed=1,2 holds several values: add -m to run each of them"),
        ("plan out=o seed=range(3)", "error: seed=range(3) is a sweep: add -m to run every value"),
        (
            "plan out=o hydra/launcher=basic",
            "error: hydra/launcher=basic is of sweeps only: add -m",
        ),
        ("plan out=o baselines=[random", "error: baselines=[random: [ is not closed;"),
        ("plan out=", "error: out= is empty; give a path"),
        ("plan out=o checkpoint=", "error: checkpoint= is empty; give a path"),
        (
            "plan -m out=o hydra/launcher=submitit_slurm",
            "error: hydra/launcher=submitit_slurm is not installed: "
            "pip install hydra-submitit-launcher; here: basic",
        ),
        ("plan -m out=o hydra/sweeper=optuna", "error: hydra/sweeper=optuna is not installed: pip"),
        (
            "plan -m out=o +hydra.callbacks.x._target_=os.mkdir",
            "error: hydra.callbacks.x: a config",
        ),
        ("plan out=o --config-dir nowhere", "error: --config-dir nowhere: no such folder;"),
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
        ("plan --verbose", "error: unknown option '--verbose'; keys have no dashes, as in"),
        ("plan --debugs", "error: unknown option '--debugs'; did you mean '--debug'?"),
        ("plan --task push", "error: unknown option '--task'; keys have no dashes: task=push;"),
        ("plan --task=push", "error: unknown option '--task'; keys have no dashes: task=push;"),
        (
            "plan --image-size 96",
            "error: unknown option '--image-size'; keys have no dashes: image",
        ),
        ("plan --experimental-rerun x", "error: --experimental-rerun is refused: it unpickles"),
        ("help pln", "error: unknown command 'pln'; did you mean 'plan'?; see worldmodel --help"),
        ("--cfg job", "error: --cfg needs a command before it; see worldmodel --help"),
        ("plan -m --cfg job", "error: expected one of --multirun and --cfg, got both;"),
        ("plan --resolve", "error: --resolve belongs to --cfg; see worldmodel --help"),
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
    def fail(config: plan.Config) -> None:
        raise error

    monkeypatch.setattr(plan, "run", fail)
    assert main(["plan", "out=o"]) == 1
    assert error_line(capfd) == expected
    with pytest.raises(type(error)):
        main(["plan", "out=o", "--debug"])


@pytest.mark.parametrize(
    ("number", "code", "expected"),
    [
        (signal.SIGINT, 130, "interrupted: what was written so far is kept"),
        (signal.SIGTERM, 143, "ended by SIGTERM: what was written so far is kept"),
        (signal.SIGHUP, 129, "ended by SIGHUP: what was written so far is kept"),
    ],
)
@pytest.mark.parametrize("words", ["plan out=o", "plan -m out=o seed=1,2"])
def test_a_signal_ends_a_command_with_one_line(
    monkeypatch, tmp_path, capfd, number, code, expected, words
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "run", lambda config: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    assert main(words.split()) == code
    assert capfd.readouterr().err.splitlines() == [expected]
    assert signal.getsignal(number) is before


def test_what_fails_of_a_signal_is_not_told_as_an_error(monkeypatch, capfd):
    def lose_a_worker(config: plan.Config) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise UserError("the worker died with exit code -15") from None

    monkeypatch.setattr(plan, "run", lose_a_worker)
    assert main(["plan", "out=o"]) == 143
    assert error_line(capfd).startswith("ended by SIGTERM")


@pytest.mark.parametrize("both", [False, True])
def test_output_that_nobody_reads_ends_a_command_quietly(both):
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "worldmodel", "--help"]
    err = writer if both else subprocess.PIPE
    done = subprocess.run(words, stdout=writer, stderr=err, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr or "") == (141, "")


def test_a_command_that_explains_a_broken_pipe_ends_no_less_quietly():
    program = (
        "import sys; from worldmodel.cli import main as cli\n"
        "def fail(words):\n"
        "    try: print(1, flush=True)\n"
        "    except OSError as error: raise ValueError('choose a writable folder') from error\n"
        "cli._answer = fail; sys.exit(cli.main([]))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_output_that_finds_no_room_is_an_error():
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "worldmodel", "--help"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("word", ["version", "--version"])
def test_the_version_is_told(word, capfd):
    assert main([word]) == 0
    assert capfd.readouterr().out == f"worldmodel {importlib.metadata.version('worldmodel')}\n"


def test_help_may_be_asked_for_in_words(capfd):
    for words in (["help"], ["--help"], ["help", "plan"], ["plan", "--help"]):
        assert main(words) == 0
    told = capfd.readouterr().out
    assert told.count("usage: worldmodel <command>") == 2
    assert told.count("worldmodel plan: plan episodes") == 2


def test_values_may_hold_what_hydra_would_read_as_its_grammar(ran):
    path = "runs/epoch=3-step=10.pt"
    assert main(["plan", f"checkpoint={path}", "out=2026_07", "baselines=random"]) == 0
    (config,) = ran
    assert (config.checkpoint, config.out, config.baselines) == (path, "2026_07", ("random",))


def test_configurations_of_the_users_own_are_found_beside_the_shipped_ones(ran, tmp_path):
    (tmp_path / "mine" / "planner").mkdir(parents=True)
    (tmp_path / "mine/planner/tiny.yaml").write_text("defaults: [icem, _self_]\nsamples: 33\n")
    (tmp_path / "mine/usual.yaml").write_text("defaults: [plan, _self_]\nout: o\nseed: 7\n")
    words = "plan --config-dir mine --config-name usual planner=tiny episodes=2"
    assert main(words.split()) == 0
    (config,) = ran
    assert (config.seed, config.episodes, config.planner.samples) == (7, 2, 33)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--cfg job", "seed: 3"),
        ("--cfg job --package task", "name: push"),
        ("--cfg hydra", "launcher:"),
        ("--cfg all", "seed: 3"),
        ("--cfg job --resolve", "receding_horizon: 2"),
        ("--info defaults", "planner/icem"),
        ("--info searchpath", "structured://"),
        ("-sc install=bash", "complete -o nospace"),
    ],
)
def test_flags_of_hydra_mean_what_they_mean_there(ran, capfd, flags, expected):
    words = flags.split() if flags.startswith("-sc") else [*flags.split(), "seed=3", "out=o"]
    assert main(["plan", *words]) == 0
    assert expected in capfd.readouterr().out
    assert ran == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("worldmodel pl", "plan"),
        ("worldmodel plan epi", "episodes="),
        ("worldmodel plan planner=ic", "planner=icem"),
    ],
)
def test_a_shell_is_told_what_a_line_may_go_on_with(monkeypatch, capfd, line, expected):
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    told = capfd.readouterr().out.split()
    assert expected in told
    assert not any("schema" in word for word in told)


def test_a_sweeper_sees_what_the_jobs_return(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "run", lambda config: config.seed / 10)
    returned: list[float] = []
    (sweeper,) = Plugins.instance().discover(Sweeper)
    sweep = sweeper.sweep

    def seen(self: Any, arguments: list[str]) -> None:
        returned.extend(job.return_value for batch in sweep(self, arguments) for job in batch)

    monkeypatch.setattr(sweeper, "sweep", seen)
    assert main(["plan", "-m", "out=o", "seed=1,2"]) == 0
    assert returned == [0.1, 0.2]


@pytest.mark.parametrize("words", ["plan out=o seed=3", "plan -m out=o seed=3"])
def test_results_lie_beside_how_they_were_made(monkeypatch, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "run", lambda config: Path(config.out).mkdir(exist_ok=True))
    assert main(words.split()) == 0
    folder = tmp_path / ("o/0" if "-m" in words else "o")
    config = OmegaConf.load(folder / ".hydra/config.yaml")
    assert (config.seed, config.task.name) == (3, "push")
    record = json.loads((folder / "run.json").read_text())
    assert record["command"] == f"worldmodel {words}"
    assert record["host"] == platform.node()
    assert record["versions"]["torch"] == importlib.metadata.version("torch")


def test_beside_a_dataset_it_lies_where_readers_look_for_known_names_only(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(collect, "run", lambda config: Path(config.out).mkdir(exist_ok=True))
    for words, folder in (("collect out=o", "o"), ("collect -m out=p seed=1", "p/0")):
        assert main(words.split()) == 0
        assert (tmp_path / folder / "meta/run.json").exists()
        assert (tmp_path / folder / "meta/.hydra/config.yaml").exists()
        assert not (tmp_path / folder / ".hydra").exists()


def test_an_interrupted_run_leaves_the_record_of_the_one_before(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def interrupt(config: plan.Config) -> None:
        Path(config.out).mkdir(exist_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "run", interrupt)
    for seed in (1, 2):
        assert main(["plan", "out=o", f"seed={seed}"]) == 130
    assert OmegaConf.load("o/.hydra/config.yaml").seed == 1


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
    assert names & set(GROUPS) == set(COMMANDS[command].groups)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_its_options_and_not_their_schemas(group):
    assert configuration.options(group)
    assert not any("schema" in option for option in configuration.options(group))


def test_help_lists_the_commands_without_importing_anything_heavy():
    program = (
        "import sys; from worldmodel.cli.main import main; code = main(['--help'])\n"
        "print(sorted({'torch', 'hydra', 'mujoco', 'numpy'} & set(sys.modules)), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    *usage, last = done.stdout.splitlines()
    assert last == "[] 0"
    assert all(any(line.startswith(f"  {name} ") for line in usage) for name in COMMANDS)


def test_a_subject_may_have_an_equals_sign(capsys):
    assert main(["import", "no/x=1.pt", "out=o"]) == 1
    assert "no/x=1.pt does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "told"), [("~task", "give task=… a value"), ("task=push,", "ends with a comma")]
)
def test_a_word_that_leaves_something_out_is_told(capsys, word, told):
    assert main(["plan", word, "out=o"]) == 1
    assert told in capsys.readouterr().err
