"""``worldmodel landscape`` draws the search that ``worldmodel plan`` makes, and lets it be."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import imageio.v3 as iio
import pytest
import torch

from worldmodel.cli import main
from worldmodel.commands import landscape

SMALL = "planner.samples=8 planner.elites=3 planner.proposals=2 planner.horizon=4"


@pytest.fixture(scope="module")
def drawn(tiny_checkpoint, tmp_path_factory):
    """Draws with the tiny checkpoint; gives the picture's bytes and what was printed."""

    def run(words):
        out = tmp_path_factory.mktemp("landscape")
        given = f"landscape {SMALL} points=5 out={out} checkpoint={tiny_checkpoint} {words}"
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert main([*given.split(), "--debug"]) == 0
        (picture,) = out.iterdir()
        assert picture.name == "landscape.png"
        return picture.read_bytes(), printed.getvalue().replace(str(out), "")

    return run


@pytest.fixture(scope="module")
def reach(drawn):
    return drawn("task=reach")


def test_the_plan_drawn_is_the_first_of_the_episode_that_plan_runs(
    drawn, tiny_checkpoint, tmp_path
):
    _, printed = drawn("task=push seed=3")
    words = f"plan {SMALL} task=push seed=3 episodes=1 videos=0 task.budget_steps=1"
    assert main([*words.split(), f"checkpoint={tiny_checkpoint}", f"out={tmp_path}"]) == 0
    (episode,) = json.loads((tmp_path / "report.json").read_text())["episodes"]
    line = next(line for line in printed.splitlines() if line.startswith("mean of the plan"))
    assert line.endswith(f"E_total {episode['energy'][0]:.4f}")


def test_the_same_seed_draws_the_same_picture_and_another_does_not(drawn, reach):
    assert drawn("task=reach") == reach
    assert drawn("task=reach seed=1")[0] != reach[0]


def test_the_way_to_the_true_goal_is_drawn_but_changes_no_plan(drawn, reach, monkeypatch):
    def elsewhere(*arguments, **options):
        scene = real(*arguments, **options)
        return replace(scene, way=-scene.way)

    real = landscape._scene
    monkeypatch.setattr(landscape, "_scene", elsewhere)
    picture, printed = drawn("task=reach")
    assert picture != reach[0]
    assert printed == reach[1]


def test_there_is_a_panel_per_energy_but_only_one_without_world_energy(drawn, reach):
    both, _ = drawn("task=reach task.world_energy=[error]")
    widths = [iio.imread(picture).shape[1] / 110 for picture in (reach[0], both)]  # inches
    assert widths == pytest.approx([2.3 + 4.0, 2.3 + 3 * 4.0], abs=0.01)


def test_over_positions_there_is_a_panel_per_goal_energy(drawn):
    some, printed = drawn("task=push plane=positions energies=[latent,reachability]")
    every, _ = drawn("task=push plane=positions truth=2")
    widths = [iio.imread(picture).shape[1] / 110 for picture in (some, every)]  # inches
    assert widths == pytest.approx([2.3 + 2 * 4.0, 2.3 + 4 * 4.0], abs=0.01)
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


def test_held_actions_span_x_and_y_and_stay_the_same_for_the_horizon():
    axis = torch.tensor([-0.05, 0.0, 0.05])
    actions = landscape.held_actions(axis, horizon=4)
    assert actions.shape == (1, 9, 4, 7)
    assert torch.equal(actions, actions[:, :, :1].expand_as(actions))
    assert torch.equal(actions[0, :, 0, :2], torch.cartesian_prod(axis, axis))
    assert not actions[..., 2:].any()


def test_a_planner_with_levels_is_refused(tiny_checkpoint, tmp_path, capfd):
    words = f"landscape planner=hierarchical checkpoint={tiny_checkpoint} out={tmp_path}"
    assert main(words.split()) == 1
    assert "Expected planner=cem" in capfd.readouterr().err


def test_an_output_that_cannot_be_written_is_named(tiny_checkpoint, tmp_path, capfd):
    (tmp_path / "file").touch()
    words = f"landscape {SMALL} points=2 checkpoint={tiny_checkpoint} out={tmp_path / 'file' / 'o'}"
    assert main(words.split()) == 1
    assert f"Cannot write to out={tmp_path / 'file' / 'o'}" in capfd.readouterr().err
