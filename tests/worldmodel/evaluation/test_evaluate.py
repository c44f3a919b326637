"""``worldmodel plan`` from the command line to its reports, and what stops it."""

from __future__ import annotations

import json
import shutil

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from worldmodel.cli.main import main
from worldmodel.commands import plan
from worldmodel.dynamics import probe
from worldmodel.evaluation import evaluate as evaluation
from worldmodel.evaluation.episodes import SEED_OFFSET
from worldmodel.files.atomic import replacing
from worldmodel.planners import compiled
from worldmodel.predictors.vector_world import VectorPrior, VectorWorld
from worldmodel.weights.checkpoint import checkpoint_sha256

SMALL = (
    "task.budget_steps=4 planner.samples=8 planner.elites=3 planner.proposals=2 planner.horizon=4"
)


@pytest.fixture
def planned(tiny_checkpoint, tmp_path, capfd):
    """Plans with the tiny checkpoint; gives the exit code and what was printed."""

    def run(words, **values):
        given = {"out": tmp_path / "out", "checkpoint": tiny_checkpoint, **values}
        overrides = [f"{key}={value}" for key, value in given.items()]
        code = main(["plan", *SMALL.split(), *words.split(), *overrides])
        return code, capfd.readouterr()

    return run


def test_what_a_sweep_maximises_is_the_success_rate(planned, monkeypatch):
    returned = []
    run = plan.run
    monkeypatch.setattr(plan, "run", lambda config: returned.append(run(config)))
    rate = {"rate": 0.5, "ci95": [0, 1]}
    monkeypatch.setattr(
        evaluation, "success_summary", lambda episodes: {"final": rate, "any": rate}
    )
    code, printed = planned("task=push episodes=1 videos=0")
    assert code == 0, printed.err
    assert returned == [0.5]


def test_a_run_reports_what_the_schema_promises(planned, tiny_checkpoint, tmp_path):
    names = "[random,ignore_object,prior,no_world_energy,latent_distance,random_encoder]"
    code, printed = planned(f"task=push episodes=2 seed=5 videos=1 baselines={names}")
    assert code == 0, printed.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["task"], report["n"], report["seed"], report["budget_steps"]) == (
        "push",
        2,
        5,
        4,
    )
    for kind in ("final", "any"):
        low, high = report["success"][kind]["ci95"]
        assert low <= report["success"][kind]["rate"] <= high
    assert set(report["plan_ms"]) == {"p50", "p90", "p99", "max"}
    assert report["planner"]["samples"] == 8
    assert report["planner"]["active_dims"] == [0, 1, 2]
    assert report["checkpoint"] == {
        "name": str(tiny_checkpoint),
        "sha256": checkpoint_sha256(tiny_checkpoint),
    }
    assert [episode["seed"] for episode in report["episodes"]] == [
        SEED_OFFSET + 5,
        SEED_OFFSET + 6,
    ]
    for episode in report["episodes"]:
        assert 0.07 < episode["distance_start"] < 0.16
        assert len(episode["energy"]) == 2
        assert episode["steps"] == 4
    assert list(report["baselines"]) == names[1:-1].split(",")
    for name, entry in report["baselines"].items():
        ran = name != "random_encoder"
        assert entry["n"] == (2 if ran else 0)
        nothing = {"planner_only": 0, "baseline_only": 0, "p": 1.0}
        assert entry["paired"] == (nothing if ran else None)
    assert report["baselines"]["random"]["success"]["final"]["rate"] == 0
    assert "random_encoder_checkpoint=" in report["baselines"]["random_encoder"]["note"]

    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        ".hydra",
        "report.html",
        "report.json",
        "run.json",
        "videos",
    ]
    assert [p.name for p in (tmp_path / "out" / "videos").iterdir()] == ["episode_000.mp4"]
    assert "push: n = 2 · success 0% [0%, 66%] · plan p50" in printed.out
    assert "n = 2     planner better on 0, worse on 0, p = 1" in printed.out
    assert str(tmp_path / "out" / "videos") in printed.out


def test_baselines_on_the_simulator_run_on_the_first_episodes_and_say_how(
    planned, tmp_path, monkeypatch
):
    monkeypatch.setattr(probe, "_STEPS", 20)
    names = ["true_dynamics", "true_cost", "oracle"]
    code, printed = planned(
        f"task=push episodes=2 videos=0 baselines=[{','.join(names)}] oracle.episodes=1 "
        "oracle.workers=1 oracle.probe_episodes=2 oracle.planner.samples=6 oracle.planner.horizon=2"
    )
    assert code == 0, printed.err
    entries = json.loads((tmp_path / "out" / "report.json").read_text())["baselines"]
    assert list(entries) == names
    for name, entry in entries.items():
        assert entry["n"] == len(entry["outcomes"]) == 1
        assert set(entry["success"]) == {"final", "any"}
        assert entry["paired"] == {"planner_only": 0, "baseline_only": 0, "p": 1.0}
        assert (entry["plan_ms"] is None) == (name == "oracle")
        assert f"  {name} " in printed.out
        assert f"<td>{name}</td>" in (tmp_path / "out" / "report.html").read_text()
    assert entries["true_cost"]["probe_cm"] > 0
    assert entries["oracle"]["planner"]["active_dims"] == [0, 1, 2]


def test_the_same_command_plans_the_same(planned, tmp_path):
    energies = []
    for _ in range(2):
        assert planned("task=reach episodes=1 videos=0")[0] == 0
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        energies.append(report["episodes"][0]["energy"])
    assert energies[0] == energies[1]


def test_with_compile_plans_are_made_with_what_is_compiled(planned, monkeypatch):
    called = []

    def noted(name):
        def call(*args):
            called.append(name)
            return getattr(compiled, f"_{name}")(*args)

        return lambda world: call

    for name in ("rollout", "judge"):
        monkeypatch.setattr(f"worldmodel.planners.problem.compiled_{name}", noted(name))
    monkeypatch.setattr("worldmodel.agents.world.require_compiler", lambda: called.append("asked"))
    code, printed = planned("task=push episodes=1 videos=0 compile=true")
    assert code == 0, printed.err
    assert called[0] == "asked"
    assert called.count("rollout") == called.count("judge") > 0
    called.clear()
    assert planned("task=push episodes=1 videos=0")[0] == 0
    assert not called


def test_a_prior_that_proposes_no_numbers_is_told(planned, tmp_path, monkeypatch):
    def nothing(self, latents, states, *, samples, horizon, generator):
        return torch.full((len(latents), samples, horizon, 7), torch.nan)

    monkeypatch.setattr(VectorPrior, "__call__", nothing)
    code, printed = planned("task=push episodes=2 batch=2 videos=0 baselines=[prior]")
    assert code == 0, printed.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["nonfinite"] == 2 * 2 * 2  # two plans of two episodes, with two proposals each
    assert "8 candidates or proposals not finite" in printed.out
    assert "skipped: The policy prior proposes actions that are not finite" in printed.out


def test_a_time_limit_too_short_to_search_is_told(planned, tmp_path, clock):
    clock.reading = 1e-3
    code, printed = planned("task=push episodes=1 videos=0 budget_ms=0.001")
    assert code == 0, printed.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["unsearched"], report["over_budget"]) == (1, 1)
    assert "100.0% of plans over their budget" in printed.out
    assert "no time to search in 100% of plans" in printed.out


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("task=push hz=inf", "a finite hz, got inf"),
        ("task=push budget_ms=nan", "a finite budget_ms, got nan"),
        ("task=push task.rescore=4 planner.samples=16 planner.elites=6", "planner's 6 elites"),
        ("task=push task.closeness=10", "closeness of 0 unless"),
        ("task=push planner.active_dims=[] task.active_dims=[]", "one or more active_dims"),
    ],
)
def test_settings_that_no_plan_could_keep_are_refused(planned, keys, said):
    code, printed = planned(keys)
    assert code == 1
    assert said in printed.err
    assert "Traceback" not in printed.err


def test_an_arm_with_a_clock_of_its_own_reports_how_its_slots_went(
    planned, tmp_path, clock, monkeypatch
):
    def reported():
        code, printed = planned("task=push episodes=2 videos=0 hz=10")
        assert code == 0, printed.err
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert "10 Hz: plan late in" in printed.out
        return report["real_time"], report["unsearched"]

    quick = {"hz": 10, "slots": 2 * 4, "missed": 0, "held": 0, "late": 0}
    assert reported() == (quick, 0)
    rollout = VectorWorld.rollout

    def slow(world, *context):
        clock.sleep(0.2)  # no search fits a slot
        return rollout(world, *context)

    monkeypatch.setattr(VectorWorld, "rollout", slow)
    # Plans for slot 0 have the time they need; those asked for in slot 2 are missed in slot 3.
    assert reported() == (quick | {"missed": 0.25}, 0.5)


def test_on_a_real_clock_every_slot_is_acted_in(planned, tmp_path):
    code, printed = planned("task=push episodes=1 videos=0 hz=50")
    assert code == 0, printed.err
    real_time = json.loads((tmp_path / "out" / "report.json").read_text())["real_time"]
    assert (real_time["hz"], real_time["slots"]) == (50, 4)
    assert all(0 <= real_time[name] <= 4 for name in ("missed", "held", "late"))


def test_at_a_rate_of_its_own_one_arm_acts(planned):
    code, printed = planned("task=push episodes=2 batch=2 hz=100")
    assert code == 1
    assert "Expected batch=1 with hz" in printed.err


def test_rich_scenery_is_that_for_testing_unless_told_otherwise(planned, tmp_path):
    tried = [("", "plain", None), ("appearance=rich", "rich", "test")]
    tried.append(("appearance=rich split=train", "rich", "train"))
    energies = set()
    for words, appearance, split in tried:
        assert planned(f"task=push episodes=1 videos=0 baselines=[random] {words}")[0] == 0
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert (report["protocol"]["appearance"], report["protocol"]["split"]) == (
            appearance,
            split,
        )
        energies.add(report["episodes"][0]["energy"][0])
    assert len(energies) == 3  # the planner saw three different scenes


def test_a_users_goal_image_is_pursued_and_success_left_open(planned, tmp_path):
    goal = tmp_path / "goal.png"
    iio.imwrite(goal, np.full((64, 64, 3), 90, np.uint8))
    assert planned("task=pick_and_place episodes=1 videos=0", goal=goal)[0] == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["success"] is None
    assert report["episodes"][0]["success"] is None
    assert report["protocol"]["goal_source"] == "the user's images"


def test_a_users_sub_goal_images_are_pursued_in_order(planned, tmp_path, monkeypatch):
    for name, shade in (("one", 90), ("two", 180)):
        iio.imwrite(tmp_path / f"{name}.png", np.full((64, 64, 3), shade, np.uint8))
    seen = []
    encode = VectorWorld.encode
    monkeypatch.setattr(
        VectorWorld, "encode", lambda world, frames: seen.append(frames) or encode(world, frames)
    )
    goal = f"[{tmp_path / 'one.png'},{tmp_path / 'two.png'}]"
    code, printed = planned("task=push episodes=1 videos=0 task.stage_steps=[2]", goal=goal)
    assert code == 0, printed.err
    (goals,) = [frames for frames in seen if frames.shape[1] == 2][:1]
    assert goals[0, :, 0, 0, 0].tolist() == [90, 180]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["success"] is None
    assert report["protocol"]["goal_source"] == "the user's images"


@pytest.mark.parametrize(
    ("words", "goals", "expected"),
    [
        ("", "[a.png,b.png]", "each of 2 goal image(s) but the last, got task.stage_steps=[]"),
        ("task.stage_steps=[5]", "a.png", "task.stage_steps=[5]; give 0"),
        ("", "[]", "a path or a list of paths"),
        ("", "{a:5}", "a path or a list of paths"),
    ],
)
def test_goals_and_stages_must_fit(planned, words, goals, expected):
    code, printed = planned(f"task=push episodes=1 {words}", goal=goals)
    assert code == 1
    assert expected in printed.err


def test_a_planner_with_levels_is_reported_beside_its_flat_self(tiny_checkpoint, tmp_path):
    levels = " ".join(
        f"planner.{level}.{setting}"
        for level in ("high_level", "low_level")
        for setting in ("samples=8", "elites=3", "proposals=2", "horizon=4")
    )
    words = f"plan planner=hierarchical {levels} task=grasp task.budget_steps=4 episodes=1 videos=0"
    given = [f"out={tmp_path}", f"checkpoint={tiny_checkpoint}", "baselines=[flat,prior,random]"]
    assert main([*words.split(), *given]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["planner"]["low_level"]["active_dims"] == [0, 1, 2, 6]
    assert report["planner"]["high_level"]["samples"] == 8
    assert all(entry["n"] == 1 for entry in report["baselines"].values())


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.zeros((96, 80, 3), np.uint8), "64x64 pixels, the camera's, got shape 96x80x3 of uint8"),
        (np.zeros((64, 64), np.uint8), "got shape 64x64 of uint8"),
        (np.zeros((64, 64, 4), np.uint8), "got shape 64x64x4 of uint8"),
        (None, "goal.png is not an image"),
        ("missing", "goal.png: no such file"),
    ],
)
def test_a_goal_that_is_no_rgb_image_of_the_cameras_size_is_refused(
    planned, tmp_path, pixels, expected
):
    goal = tmp_path / "goal.png"
    if pixels is None:
        goal.write_text("a picture of a cube")
    elif not isinstance(pixels, str):
        iio.imwrite(goal, pixels)
    code, printed = planned("task=push episodes=1", goal=goal)
    assert code == 1
    assert expected in printed.err
    assert printed.err.count("\n") == 1


def test_baselines_beside_a_users_goal_are_refused(planned):
    code, printed = planned("task=push baselines=[random]", goal="x.png")
    assert code == 1
    assert "Expected no baselines beside goal=" in printed.err


@pytest.mark.parametrize("damage", ["missing", "truncated", "garbled"])
def test_a_checkpoint_that_cannot_be_read_is_named(planned, tiny_checkpoint, tmp_path, damage):
    folder = tmp_path / "damaged"
    if damage != "missing":
        shutil.copytree(tiny_checkpoint, folder)
        weights = folder / "model.safetensors"
        if damage == "truncated":
            weights.write_bytes(weights.read_bytes()[:-100])
        else:
            (folder / "config.json").write_text('{"format_version": 1, "kind":')
    code, printed = planned("task=push", checkpoint=folder)
    assert code == 1
    assert printed.err.startswith(f"error: {folder}")
    assert printed.err.count("\n") == 1


READ = "worldmodel.agents.world.read_world"


def test_an_output_that_cannot_be_written_is_found_before_any_work(planned, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "worldmodel.agents.world.read_world", lambda name: pytest.fail("work was done")
    )
    (tmp_path / "file").touch()
    code, printed = planned("task=push", out=tmp_path / "file" / "out")
    assert code == 1
    assert printed.err == (
        f"error: Cannot write to out={tmp_path / 'file' / 'out'} (Not a directory); "
        "choose another\n"
    )


def test_without_room_for_the_reports_no_work_is_done(planned, tmp_path, monkeypatch, small_files):
    monkeypatch.setattr(evaluation, "run_episodes", lambda *_, **__: pytest.fail("it planned"))
    with small_files(100_000):
        code, printed = planned("task=push episodes=3")
    assert code == 1
    assert f"Expected at least 383.5 kB free in {tmp_path / 'out'} for results, got" in printed.err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_that_fills_up_costs_what_does_not_fit_and_nothing_else(
    planned, tmp_path, monkeypatch
):
    def full(path, **_):
        with replacing(path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("worldmodel.evaluation.video.write_video", full)
    monkeypatch.setattr("worldmodel.evaluation.report.write_html", full)
    code, printed = planned("task=reach episodes=2")
    assert code == 1
    assert "reach: n = 2 · success" in printed.out
    assert json.loads((tmp_path / "out" / "report.json").read_text())["n"] == 2
    (line,) = [line for line in printed.err.splitlines() if line.startswith("error:")]
    assert f"free in {tmp_path / 'out/videos'} for episode_000.mp4, got" in line
    assert line.endswith("Not written either: videos/episode_001.mp4, report.html.")


def test_every_episode_is_filmed_unless_told_otherwise(planned, tmp_path):
    assert planned("task=reach episodes=2")[0] == 0
    names = sorted(path.name for path in (tmp_path / "out" / "videos").iterdir())
    assert names == ["episode_000.mp4", "episode_001.mp4"]


def test_a_run_that_dies_leaves_the_last_report_and_the_videos_it_made(
    planned, tmp_path, monkeypatch
):
    assert planned("task=reach episodes=1 videos=0")[0] == 0
    before = (tmp_path / "out" / "report.json").read_bytes()

    def dies(*arguments, **options):
        yield from real(*arguments, **options)
        raise RuntimeError("the lights went out")

    real = evaluation.run_episodes
    monkeypatch.setattr(evaluation, "run_episodes", dies)
    code, printed = planned("task=reach episodes=1 seed=9 videos=1")
    assert code == 1
    assert "the lights went out" in printed.err
    assert (tmp_path / "out" / "report.json").read_bytes() == before
    assert [p.name for p in (tmp_path / "out" / "videos").iterdir()] == ["episode_000.mp4"]
