"""``worldmodel landscape`` draws the search that ``worldmodel plan`` makes, and lets it be."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from dataclasses import replace
from functools import cache

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from worldmodel.cli.main import main
from worldmodel.diagnostics.landscape import actions as landscape
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.nn.pose import compose
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.weights.world import save_world

SMALL = "planner.samples=8 planner.elites=3 planner.proposals=2 planner.horizon=4"
PUBLISHED = "planner=vjepa2_ac planner.samples=8 planner.elites=3 planner.iterations=4"
STATE = [0.4, 0.0, 0.2, 3.1, 0.0, 1.5, 0.0]
ACTION = [0.02, -0.03, 0.01, 0.1, 0.0, 0.2, 0.5]
THERE = compose(torch.tensor(STATE), torch.tensor(ACTION)).tolist()


def run(out, words):
    """Draws; gives the picture's bytes, the page, and what was printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["landscape", "points=5", "third=3", f"out={out}", *words, "--debug"]) == 0
    page = out / "landscape.html"
    text = printed.getvalue().replace(str(out), "")
    return (out / "landscape.png").read_bytes(), page.exists() and page.read_text(), text


@pytest.fixture(scope="module")
def drawn(tiny_checkpoint, tmp_path_factory):
    """Draws an episode with the tiny checkpoint of a vector world."""
    return lambda words: run(
        tmp_path_factory.mktemp("landscape"),
        [*SMALL.split(), f"checkpoint={tiny_checkpoint}", *words.split()],
    )


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """A folder with a tiny token world, and two images for it."""
    torch.manual_seed(0)
    sizes = EncoderConfig(image_size=64, patch_size=32, width=24, depth=1, heads=2)
    predictor = TokenPredictorConfig(tokens=4, token_width=24, width=12, depth=1, heads=2)
    world = TokenWorld(FrozenEncoder(VideoTransformer(sizes)), TokenPredictor(predictor))
    folder = tmp_path_factory.mktemp("tokens")
    save_world(folder, world, {})
    for name, shade in (("a", 60), ("b", 180)):
        iio.imwrite(folder / f"{name}.png", np.full((64, 64, 3), shade, np.uint8))
    return folder


@pytest.fixture(scope="module")
def pair(tokens, tmp_path_factory):
    """Draws between two image files, with the published search; the same only once."""
    given = [f"checkpoint={tokens}", f"start={tokens}/a.png", f"goal={tokens}/b.png"]
    given += [*PUBLISHED.split(), f"state={STATE}"]
    return cache(lambda *words: run(tmp_path_factory.mktemp("pair"), [*given, *words]))


@pytest.fixture(scope="module")
def reach(drawn):
    return drawn("task=reach")


def figure(page):
    """Traces and layout of a page."""
    start = page.index("[{", page.index("Plotly.newPlot("))
    traces, end = json.JSONDecoder().raw_decode(page, start)
    layout, _ = json.JSONDecoder().raw_decode(page, page.index("{", end))
    return traces, layout


def titles(page):
    return [note["text"] for note in figure(page)[1]["annotations"]]


def inches(picture):
    return tuple(side / 110 for side in iio.imread(picture).shape[1::-1])


@pytest.mark.slow
def test_the_plan_drawn_is_the_first_of_the_episode_that_plan_runs(
    drawn, tiny_checkpoint, tmp_path
):
    _, _, printed = drawn("task=push seed=3")
    words = f"plan {SMALL} planner=cem task=push seed=3 episodes=1 videos=0 task.budget_steps=1"
    assert main([*words.split(), f"checkpoint={tiny_checkpoint}", f"out={tmp_path}"]) == 0
    (episode,) = json.loads((tmp_path / "report.json").read_text())["episodes"]
    line = next(line for line in printed.splitlines() if line.startswith("mean of the plan"))
    assert line.endswith(f"E_total {episode['energy'][0]:.4f}")


def test_the_same_seed_draws_the_same_picture_and_another_does_not(drawn, reach):
    again = drawn("task=reach")
    assert (again[0], again[2]) == (reach[0], reach[2])
    assert drawn("task=reach seed=1")[0] != reach[0]


def test_without_plotly_the_picture_is_drawn_and_a_line_says_how_to_get_the_page(
    drawn, reach, monkeypatch
):
    monkeypatch.setitem(sys.modules, "plotly", None)
    picture, page, printed = drawn("task=reach")
    assert (picture, page) == (reach[0], False)
    assert lines_of(printed, "no landscape.html").endswith("pip install 'worldmodel[html]'")


def test_what_is_true_is_drawn_but_changes_no_plan(drawn, reach, monkeypatch):
    def elsewhere(*arguments, **options):
        scene = real(*arguments, **options)
        return replace(scene, way=-scene.way, true_actions=scene.true_actions + 0.01)

    real = landscape.of_episode
    monkeypatch.setattr(landscape, "of_episode", elsewhere)
    picture, _, printed = drawn("task=reach")
    assert picture != reach[0]
    assert lines_of(printed, "mean of the plan") == lines_of(reach[2], "mean of the plan")
    assert lines_of(printed, "the expert") != lines_of(reach[2], "the expert")
    unknown = [t["name"] for t in figure(reach[1])[0] if "expert" in t.get("name", "")]
    assert unknown
    assert all("not known to the planner" in name for name in unknown)


def lines_of(printed, start):
    (line,) = (line for line in printed.splitlines() if line.startswith(start))
    return line


def test_a_single_energy_is_drawn_over_both_planes_by_mean_and_minimum(reach):
    picture, page, _ = reach
    assert inches(picture) == pytest.approx((2.3 + 2 * 4.0, 0.4 + 2 * 4.0), abs=0.01)
    name = "E_total = E_goal"
    assert [title for title in titles(page) if name in title] == [
        f"{name}, mean over Δz",
        f"{name}, min over Δz",
        f"{name}, mean over Δy",
        f"{name}, min over Δy",
    ]


@pytest.mark.slow
def test_every_term_has_a_row_under_its_name(drawn):
    words = "task=reach task.world_energy=[error,disagreement] task.goal_weight=2"
    picture, page, _ = drawn(words)
    assert inches(picture) == pytest.approx((2.3 + 4 * 4.0, 0.4 + 4 * 4.0), abs=0.01)
    firsts = [title for title in titles(page) if title.endswith("mean over Δz")]
    assert [title.partition(",")[0] for title in firsts] == [
        "E_total = E_world + 2·E_goal",
        "E_goal",
        "E_world: error",
        "E_world: disagreement",
    ]


def test_the_page_needs_no_network_and_shows_the_samples_iteration_by_iteration(pair):
    _, page, _ = pair()
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page)
    traces, layout = figure(page)
    slider = layout["sliders"][0]["steps"]
    assert [step["label"] for step in slider] == ["none", "1", "2", "3", "4", "all"]
    for shown, step in zip(([], [1], [2], [3], [4], [1, 2, 3, 4]), slider, strict=True):
        change, indices = step["args"]
        names = {
            traces[index]["name"]
            for index, visible in zip(indices, change["visible"], strict=True)
            if visible
        }
        assert names == {f"samples, iteration {index}" for index in shown}
    heat = next(trace for trace in traces if trace["type"] == "heatmap")
    assert "E_total = E_goal: mean %{customdata[0]" in heat["hovertemplate"]
    sample = next(trace for trace in traces if trace.get("name") == "samples, iteration 1")
    assert "E_total %{customdata[3]" in sample["hovertemplate"]


@pytest.mark.slow
def test_the_true_action_is_told_or_follows_of_the_second_state(pair):
    told = lines_of(pair(f"action={ACTION}")[2], "true action")
    assert "x +2.0 y -3.0 z +1.0 cm" in told
    assert lines_of(pair(f"goal_state={THERE}", "limit=0.1")[2], "true action") == told
    _, page, printed = pair()
    assert "true action" not in printed
    assert "true action" not in str([trace.get("name") for trace in figure(page)[0]])


def test_the_published_search_keeps_its_box_between_image_files(pair):
    _, layout = figure(pair()[1])
    ranges = {tuple(layout[f"xaxis{index}"]["range"]) for index in (2, 3)}
    ((low, high),) = ranges
    assert (low, high) == pytest.approx((-7.5, 7.5))
    _, layout = figure(pair(f"goal_state={THERE}", "limit=0.1")[1])
    assert layout["xaxis2"]["range"] == pytest.approx([-10, 10])


@pytest.mark.slow
def test_the_picture_is_widened_to_hold_the_true_action_unless_a_limit_was_given(pair):
    far = f"action={[0.2, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0]}"
    _, page, printed = pair(far)
    (low, high) = figure(page)[1]["xaxis2"]["range"]
    assert high == -low > 20
    assert f"drawn to {high:.1f} cm per step, for a mark lies beyond the 7.5 cm" in printed
    plan = lines_of(printed, "mean of the plan")
    assert plan == lines_of(pair()[2], "mean of the plan")  # what is drawn changes no plan
    _, page, printed = pair(far, "limit=0.075")
    assert figure(page)[1]["xaxis2"]["range"] == pytest.approx([-7.5, 7.5])
    assert "outside, at x +20.0 y +10.0 z +0.0 cm: drawn to 7.5 cm per step (limit=…)" in printed


def test_large_worlds_are_asked_in_turn(pair, monkeypatch):
    whole = pair(f"action={ACTION}")[2]
    monkeypatch.setattr("worldmodel.diagnostics.landscape.grid._BYTES", 10_000)
    assert pair(f"action={ACTION}", "seed=0")[2] == whole


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["start=a.png"], "start=… and goal=… together"),
        (["state=[1,2]"], "no state without image files"),
        (["start=a.png", "goal=b.png", "plane=positions"], "plane=actions between image files"),
        (["start=a.png", "goal=b.png", "action=[1]", "goal_state=[1]"], "got both"),
        (["start=a.png", "goal=b.png"], "Expected state=[…] of 7 numbers"),
        (["start=a.png", "goal=b.png", f"state={STATE}"], "start=a.png: no such file"),
        (["start=a.png", "goal=b.png", f"state={STATE}", "action=[1]"], "action=[…] of 7 numbers"),
        (
            ["start=a.png", "goal=b.png", f"state={STATE}", "action=[nan,0,0,0,0,0,0]"],
            "a finite action[0], got nan",
        ),
        (["third=4"], "third to be odd"),
        (["limit=0"], "limit above 0"),
    ],
)
def test_image_files_that_do_not_make_a_pair_are_refused(
    tiny_checkpoint, tmp_path, capfd, words, message
):
    given = ["landscape", f"checkpoint={tiny_checkpoint}", f"out={tmp_path}", *words]
    assert main(given) == 1
    assert message in capfd.readouterr().err


def test_over_positions_there_is_a_panel_per_goal_energy(drawn):
    some, page, printed = drawn("task=push plane=positions energies=[latent,reachability]")
    assert not page
    every, _, _ = drawn("task=push plane=positions truth=2")
    assert [inches(picture)[0] for picture in (some, every)] == pytest.approx(
        [2.3 + 2 * 4.0, 2.3 + 5 * 4.0], abs=0.01
    )
    assert printed.splitlines() == ["picture: /landscape.png"]


def test_an_unknown_plane_or_energy_is_named(tmp_path, capfd):
    for words, message in (
        ("plane=states", "plane actions or positions, got 'states'"),
        ("energies=[latnet]", "got 'latnet'"),
        ("energies=[]", "an energy or more"),
        ("truth=1", "truth of 0, or of at least 2"),
    ):
        assert main(["landscape", f"out={tmp_path}", words]) == 1
        assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "planner=collocation planner.relaxed=2",
        "planner=cem_gradient planner.elites=3 planner.refined=2",
    ],
)
def test_samples_are_those_that_an_iteration_judged(tiny_checkpoint, tmp_path, words):
    sizes = "planner.samples=4 planner.proposals=2 planner.iterations=2 planner.horizon=4"
    given = f"task=push {words} {sizes} checkpoint={tiny_checkpoint}"
    assert "samples, iteration 2" in run(tmp_path, given.split())[1]


def test_a_planner_with_levels_is_refused(tiny_checkpoint, tmp_path, capfd):
    words = f"landscape planner=hierarchical checkpoint={tiny_checkpoint} out={tmp_path}"
    assert main(words.split()) == 1
    assert "Expected a planner without sub-goals" in capfd.readouterr().err


def test_an_output_that_cannot_be_written_is_named(tiny_checkpoint, tmp_path, capfd):
    (tmp_path / "file").touch()
    words = f"landscape {SMALL} points=2 checkpoint={tiny_checkpoint} out={tmp_path / 'file' / 'o'}"
    assert main(words.split()) == 1
    assert f"Cannot write to out={tmp_path / 'file' / 'o'}" in capfd.readouterr().err
