"""``worldmodel diagnose`` reports on every energy and appearance, as privileged."""

from __future__ import annotations

import json

import imageio.v3 as iio
import pytest

from worldmodel.cli.main import main

BRIEF = "diagnose episodes=2 forks=1 candidates=4 horizon=4"
ENERGIES = {"latent_l1", "latent_l2", "latent_cosine", "reachability", "value", "shaped_cost"}


@pytest.fixture(scope="module")
def report(tiny_checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("diagnosis")
    words = f"{BRIEF} scenes=[plain,rich/test] checkpoint={tiny_checkpoint} out={out} --debug"
    assert main(words.split()) == 0
    assert iio.imread(out / "diagnosis.png").size
    return json.loads((out / "diagnosis.json").read_text())


def test_every_energy_has_every_figure_in_every_scenery(report):
    assert set(report["scenes"]) == {"plain", "rich/test"}
    for energies in report["scenes"].values():
        assert set(energies) == ENERGIES
        for name, found in energies.items():
            for kind in ("falls", "path", "seen", "imagined"):
                if (name, kind) == ("shaped_cost", "imagined"):
                    assert found[kind]["mean"] is None
                else:
                    low, high = found[kind]["ci95"]
                    assert low <= found[kind]["mean"] <= high
            assert ("bias" in found) == (name in ("reachability", "value"))


def test_the_true_cost_is_the_same_in_either_scenery_and_the_features_are_not(report):
    plain, rich = (report["episodes"][scene] for scene in ("plain", "rich/test"))
    for one, other in zip(plain, rich, strict=True):
        assert one["shaped_cost"] == other["shaped_cost"]
        assert one["latent_l1"] != other["latent_l1"]


def test_it_says_what_it_read_and_of_which_tasks(report):
    assert "nothing of it reaches planning" in report["privileged"]
    assert report["n"] == 2
    assert report["seeds"] == [0, 1]
    assert "scripted expert" in report["true_cost"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("candidates=1", "candidates of at least 2"),
        ("scenes=[rich/tset]", "split"),
        ("scenes=[]", "scenes="),
        ("env=two_room scenes=[rich/test]", "Expected scenes=[plain] with env=two_room"),
        ("horizon=5", "multiple of the world's stride"),
    ],
)
def test_settings_that_cannot_be_are_named(tiny_checkpoint, tmp_path, capfd, words, message):
    given = f"{BRIEF} checkpoint={tiny_checkpoint} out={tmp_path} {words}"
    assert main(given.split()) == 1
    assert message in capfd.readouterr().err
