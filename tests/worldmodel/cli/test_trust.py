"""Nothing that a configuration names is called, wherever it stands and however it got there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from hydra.types import RunMode

from worldmodel.cli.composition import loader
from worldmodel.cli.configuration import load
from worldmodel.cli.main import main
from worldmodel.cli.trust import refuse_targets
from worldmodel.commands import plan
from worldmodel.errors import UserError

HANDLER = "hydra.job_logging.handlers.x"
RUNS = "os.mkdir"


@pytest.fixture(autouse=True)
def _nothing_planned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "run", lambda config: None)


@pytest.mark.parametrize(
    "words",
    [
        f"+hydra.callbacks.x._target_={RUNS} +hydra.callbacks.x.path=called",
        f"++hydra.callbacks.x._target_={RUNS} +hydra.callbacks.x.path=called",
        f"hydra.callbacks={{x:{{_target_:{RUNS},path:called}}}}",
        f"+zoo={{_target_:{RUNS},path:called}} hydra.callbacks={{x:${{zoo}}}}",
        "hydra.callbacks=${oc.decode:'{x:{_target_:os.mkdir,path:called}}'}",
        f"hydra.launcher._target_={RUNS} +hydra.launcher.path=called",
        f"+hydra.launcher.x={{_target_:{RUNS},path:called}}",
        f"hydra.sweeper._target_={RUNS} +hydra.sweeper.path=called",
        "+hydra.sweeper.custom_search_space=os.getcwd",
        f"+{HANDLER}={{class:{RUNS},path:called}}",
        f"+{HANDLER}={{class:${{hydra.job.name}},path:called}} hydra.job.name={RUNS}",
        f"+{HANDLER}={{class:${{hydra.job.id}},path:called}}",
        f"+{HANDLER}={{class:logging.StreamHandler,stream:'ext://antigravity'}}",
        f"+hydra.hydra_logging.formatters.x={{class:{RUNS}}}",
        f"+planner.x={{_target_:{RUNS},path:called}}",
        "hydra.searchpath=[pkg://antigravity]",
        "+hydra.job.env_set.PYTHONPATH=evil",
    ],
)
def test_an_override_makes_nothing_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: str
) -> None:
    assert main(["plan", "-m", "out=o", *words.split()]) == 1
    told = capfd.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert "hydra." in told or "_target_" in told
    assert list(tmp_path.iterdir()) == []
    assert "antigravity" not in sys.modules


def test_nor_does_one_of_a_single_run(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "out=o", f"+hydra.callbacks.x._target_={RUNS}"]) == 1
    assert capfd.readouterr().err.startswith("error: hydra.callbacks.x: a configuration runs")


YAML = {
    "task/bad": "# @package _global_\nhydra: {callbacks: {x: {_target_: os.mkdir, path: called}}}",
    "task/worse": "# @package _global_\n"
    "hydra: {job_logging: {handlers: {x: {(): os.mkdir, path: called}}}}",
    "hydra/job_logging/bad": "version: 1\nroot: {handlers: [x]}\n"
    "handlers: {x: {(): os.mkdir, path: called}}",
    "hydra/launcher/bad": "_target_: os.mkdir\npath: called",
    "packages": "defaults: [plan, _self_]\nhydra: {searchpath: ['pkg://antigravity']}",
    "swept": "defaults: [plan, _self_]\nhydra: {sweeper: {params: "
    "{+hydra.callbacks: '{x: {_target_: os.mkdir, path: called}}'}}}",
    "plugged": "defaults: [plan, _self_]\nhydra: {sweeper: {params: {plugins: '[antigravity]'}}}",
}


@pytest.mark.parametrize(
    "words",
    [
        "task=bad",
        "task=push,bad",
        "task=push,worse",
        "hydra/job_logging=bad",
        "hydra/launcher=bad",
        "--config-name packages",
        "--config-name swept",
        "--config-name plugged",
    ],
)
def test_nor_does_yaml_of_the_users(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: str
) -> None:
    for name, content in YAML.items():
        path = tmp_path / "given" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert main(["plan", "-m", "--config-dir", "given", "out=o", *words.split()]) == 1
    assert "error: hydra." in capfd.readouterr().err
    assert not list(tmp_path.rglob("called"))
    assert "antigravity" not in sys.modules


def test_what_plugins_offer_to_be_made_for_them_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    load("plan")
    source = loader()
    words = ["out=o", "+hydra.sweeper.sampler._target_=optuna.samplers.TPESampler"]
    with pytest.raises(UserError, match=r"^hydra\.sweeper\.sampler\._target_=optuna"):
        source.load_configuration("plan", words, RunMode.MULTIRUN)
    store = ConfigStore.instance()
    offered = {"_target_": "optuna.samplers.TPESampler"}
    monkeypatch.setattr(store, "repo", {**store.repo, "hydra": {**store.repo["hydra"]}})
    monkeypatch.setitem(store.repo["hydra"], "sweeper", {**store.repo["hydra"]["sweeper"]})
    store.store(group="hydra/sweeper/sampler", name="tpe", node=offered)
    config = source.load_configuration("plan", words, RunMode.MULTIRUN)
    refuse_targets(config)
