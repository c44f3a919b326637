"""A benchmark gives every row the same pairs, and compares rows pair by pair."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import worldmodel as wm
from worldmodel.agents.agent import make_agent
from worldmodel.cli.main import main
from worldmodel.evaluation.baselines import BASELINES, Comparison
from worldmodel.evaluation.intervals import mcnemar, wilson
from worldmodel.evaluation.pairs import BUDGET
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.presets import preset
from worldmodel.studies.benchmark import tasks
from worldmodel.studies.benchmark.rows import PEERS
from worldmodel.studies.benchmark.tasks import BenchmarkTask
from worldmodel.weights.world import read_world, save_world

WORDS = ["benchmark", "task=two_room", "mode=moderate", "checkpoint=two_room"]
SMALL = ["planner.samples=8", "planner.elites=3", "planner.proposals=2", "planner.iterations=1"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("benchmark")
    words = [*WORDS, *SMALL, "seeds=[3,8]", "pairs=3", "rows=[planner,prior,random]", f"out={out}"]
    assert main(words) == 0
    return out


def test_rows_hold_rates_intervals_outcomes_and_times(ran: Path) -> None:
    report = json.loads((ran / "benchmark.json").read_text())
    assert (report["task"], report["mode"]) == ("two_room", "moderate")
    assert (report["seeds"], report["pairs"]) == ([3, 8], 3)
    assert list(report["rows"]) == ["planner", "prior", "random"]
    for row in report["rows"].values():
        solved = sum(row["outcomes"])
        assert row["n"] == len(row["outcomes"]) == 6
        assert row["rate"] == solved / 6
        assert row["ci95"] == pytest.approx(wilson(solved, 6))
        assert list(row["by_seed"]) == ["3", "8"]
        assert row["by_seed"]["3"] == sum(row["outcomes"][:3]) / 3
    assert report["rows"]["random"]["plan_ms"] is None
    assert report["rows"]["planner"]["plan_ms"]["p50"] > 0
    assert report["versions"]["mujoco"]
    assert report["checkpoint"]["planner"]["sha256"]


def test_rows_are_compared_pair_by_pair(ran: Path) -> None:
    report = json.loads((ran / "benchmark.json").read_text())
    mine, theirs = (report["rows"][row]["outcomes"] for row in ("planner", "random"))
    pairs = list(zip(mine, theirs, strict=True))
    better, worse = pairs.count((True, False)), pairs.count((False, True))
    found = report["paired"]["random"]
    assert (found["planner_only"], found["other_only"], found["n"]) == (better, worse, 6)
    assert found["p"] == mcnemar(better, worse)
    assert better > 0  # at the door, chance helps nobody


def test_the_budget_is_that_of_the_simulation_whatever_the_world_repeats(ran: Path) -> None:
    report = json.loads((ran / "benchmark.json").read_text())
    assert report["spec"]["repeat"] == 5
    assert report["protocol"]["task"]["planner"]["budget_steps"] == 10


def test_the_page_needs_no_other_file_and_shows_rows_and_episodes(ran: Path) -> None:
    page = (ran / "benchmark.html").read_text()
    assert page.count("<td>") == 3 * 7
    assert page.count("<figure>") == 3
    assert 'src="http' not in page
    assert "6.7%" in page  # random actions, as the audit measured them


def test_what_is_done_is_not_run_again(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = json.loads((ran / "benchmark.json").read_text())
    monkeypatch.setattr("worldmodel.studies.benchmark.run.run_episodes", None)
    words = [*WORDS, *SMALL, "seeds=[3,8]", "pairs=3", "rows=[planner,prior,random]", f"out={ran}"]
    assert main(words) == 0
    assert json.loads((ran / "benchmark.json").read_text()) == before


def test_python_takes_names(tmp_path: Path) -> None:
    rows = ("prior",)
    settings = {"seeds": (1,), "pairs": 1, "rows": rows, "checkpoint": "two_room"}
    report = wm.benchmark(out=str(tmp_path), task="two_room", mode="strict", **settings)
    assert report["rows"]["prior"]["n"] == 1
    assert report["paired"] == {}  # there is no planner to compare with


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a few episodes, for worlds that are hardly trained."""
    root = tmp_path_factory.mktemp("peers")
    collect = f"+experiment=suite_data env=two_room episodes=4 length=12 out={root / 'data'}"
    assert not main(["collect", *collect.split()])
    return root


def _train(root: Path, predictor: str, *words: str) -> Path:
    out = root / predictor
    at = [f"data={root / 'data'}", f"cache={root / 'cache'}", f"out={out}"]
    assert not main(["train", f"predictor={predictor}", *at, *words])
    return out


@pytest.fixture(scope="module")
def lewm(root: Path) -> Path:
    """A world of `predictor=lewm`."""
    steps = "steps=2 batch=2 state_model.steps=2 inverse.steps=2"
    words = [f"predictor.training.{word}" for word in steps.split()]
    return _train(root, "lewm", *words, "predictor.encoder.width=12", "predictor.encoder.depth=1")


def test_a_token_world_plans_as_dino_wm_does(root: Path, tmp_path: Path) -> None:
    sizes = "encoder.image_size=64 encoder.patch_size=32 training.steps=0"
    at = [f"data={root / 'data'}", f"cache={root / 'cache'}", f"out={root / 'encoder'}"]
    assert not main(["pretrain", *at, *sizes.split()])
    words = [f"encoder_checkpoint={root / 'encoder'}", "predictor.training.batch=2"]
    words += ["predictor.training.steps=2", "predictor.training.state_model.steps=2"]
    world = _train(root, "tokens", *words, "predictor.model.width=24", "predictor.model.depth=1")
    rows = ["rows=[dino_wm]", "seeds=[3]", "pairs=1", f"peers.dino_wm={world}"]
    assert main([*WORDS, *rows, f"out={tmp_path}"]) == 0
    report = json.loads((tmp_path / "benchmark.json").read_text())
    assert report["rows"]["dino_wm"]["n"] == 1
    search = report["protocol"]["planner"]["dino_wm"]
    assert (search["samples"], search["iterations"], search["elites"]) == (300, 10, 30)


def test_the_inverse_model_acts_in_lewms_world_without_a_search(lewm: Path, tmp_path: Path) -> None:
    rows = ["rows=[inverse,random]", "seeds=[3]", "pairs=2", f"peers.lewm={lewm}"]
    assert main([*WORDS, *rows, f"out={tmp_path}"]) == 0
    report = json.loads((tmp_path / "benchmark.json").read_text())
    assert report["rows"]["inverse"]["n"] == 2
    assert report["rows"]["inverse"]["plan_ms"]["p50"] > 0
    assert report["checkpoint"]["inverse"]["name"] == str(lewm)
    assert report["protocol"]["planner"]["inverse"] == {}
    assert report["protocol"]["task"]["inverse"]["budget_steps"] == 10


def test_an_untrained_inverse_model_is_refused_before_any_row_runs(
    lewm: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    world = read_world(lewm)
    assert isinstance(world, LewmWorld)
    world.predictor.inverse.trained.fill_(False)
    save_world(tmp_path / "world", world, {})
    rows = ["rows=[random,inverse]", f"peers.lewm={tmp_path / 'world'}"]
    assert main([*WORDS, *rows, f"out={tmp_path / 'out'}"]) == 1
    assert "Expected a trained inverse model" in capfd.readouterr().err
    assert not (tmp_path / "out" / "rows").exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("rows=[planer]", "unknown row 'planer'; did you mean 'planner'"),
        ("rows=[prior,prior]", "Expected rows that differ"),
        ("seeds=[1,1]", "Expected seeds that differ"),
        ("peer_seeds=[5]", r"Expected peer_seeds among seeds, got \[5\]"),
        ("task=push", "Expected a task of suite=public .*task=cube.*, got one in push"),
        ("suite=privat", "unknown suite 'privat'; expected one of public"),
        ("mode=lenient", "mode"),
        ("peers.lewm=absent rows=[lewm]", "absent"),
        ("peers.lewm=absent rows=[inverse]", "absent"),
    ],
)
def test_mistakes_are_told_in_one_line(
    word: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, f"out={tmp_path}", *word.split()]) == 1
    error = capfd.readouterr().err
    assert re.search(said, error), error
    assert "Traceback" not in error


def test_a_suites_own_goals_have_a_budget_of_their_own_and_no_known_distance(
    lewm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own = BenchmarkTask("two_room", "two_room", ahead=None, budget=15)
    monkeypatch.setitem(tasks.SUITES, "long", (own,))  # type: ignore[index]
    words = [*WORDS, "suite=long", "seeds=[3]", "pairs=2", f"peers.lewm={lewm}"]
    assert main([*words, *SMALL, "rows=[planner,prior]", f"out={tmp_path}"]) == 0
    report = json.loads((tmp_path / "benchmark.json").read_text())
    assert (report["protocol"]["ahead"], report["protocol"]["budget"]) == (None, 15)
    assert report["protocol"]["task"]["planner"]["budget_steps"] == 3
    assert "Goals are the suite's own" in (tmp_path / "benchmark.html").read_text()
    assert main([*words, "rows=[inverse]", f"out={tmp_path}"]) == 1
    assert "row inverse is told how far goals are" in capfd.readouterr().err


@pytest.mark.parametrize("suite", ["long", "manipulation"])
def test_every_task_of_a_suite_has_settings(suite: str) -> None:
    for task in tasks.SUITES[suite]:
        assert preset("task", task.name).name == task.env
        assert task.budget > BUDGET


@pytest.mark.parametrize("task", ["pusht", "cube", "reacher", "two_room"])
def test_peers_and_variations_fit_every_task(task: str) -> None:
    pursued = preset("task", task)
    for peer in PEERS.values():
        assert replace(pursued, **peer.pursuit).energy == "latent"
    recipe = make_agent("two_room", task=replace(pursued, name="two_room")).recipe
    for variation in ("latent_distance", "reachability"):
        assert BASELINES[variation](Comparison(recipe, []))
