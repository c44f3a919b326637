"""``worldmodel subgoals`` draws what the planner has in mind, by frames of the dataset."""

from __future__ import annotations

import imageio.v3 as iio
import pytest
import torch

from worldmodel.cli.main import main
from worldmodel.diagnostics.subgoals import nearest_moments

SMALL = "samples=8 elites=3 proposals=2 horizon=4"
LEVELS = " ".join(
    f"planner.{level}.{s}" for level in ("high_level", "low_level") for s in SMALL.split()
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "push"
    words = f"collect task=push episodes=2 length=12 workers=1 image_size=64 out={out}"
    assert main([*words.split(), "--debug"]) == 0
    return out


@pytest.fixture
def drawn(tiny_checkpoint, data, tmp_path, capfd):
    def run(words, **values):
        given = {"out": tmp_path, "checkpoint": tiny_checkpoint, "data": data, **values}
        code = main(["subgoals", *words.split(), *(f"{k}={v}" for k, v in given.items())])
        return code, capfd.readouterr()

    return run


def test_a_row_per_moment_with_what_is_left_to_go(drawn, tmp_path):
    code, printed = drawn(f"{LEVELS} moments=[0,3] planner.near=-99")
    assert code == 0, printed.err
    rows = [line for line in printed.out.splitlines() if line.startswith("step")]
    assert [row.split()[1] for row in rows] == ["0", "2"]
    assert all(row.count("to go, nearest at") == 4 for row in rows)
    height, width, _ = iio.imread(tmp_path / "subgoals.png").shape
    assert (width, height) == pytest.approx((6 * 1.9 * 110, 2 * 2.25 * 110), abs=2)


def test_retrieved_sub_goals_are_remembered_frames_themselves(drawn):
    low_level = " ".join(f"planner.low_level.{setting}" for setting in SMALL.split())
    code, printed = drawn(
        f"planner=retrieval {low_level} planner.near=-99 planner.ahead=1 moments=[0]"
    )
    assert code == 0, printed.err
    (row,) = [line for line in printed.out.splitlines() if line.startswith("step")]
    assert "nearest at 0.00" in row


def test_the_nearest_moment_of_a_remembered_latent_is_its_own_row(tiny_world):
    latents, rows = tiny_world.predictor.memory.recall()
    found, apart = nearest_moments(tiny_world, latents[[3, 7]] + 1e-3)
    assert torch.equal(found, rows[[3, 7]])
    assert float(apart.max()) < 0.01


def test_a_planner_without_sub_goals_is_refused(drawn):
    code, printed = drawn("planner=cem")
    assert code == 1
    assert "planner=hierarchical or planner=retrieval" in printed.err
