"""A diagnosis tells a goal energy that knows the way from one that does not."""

from __future__ import annotations

import numpy as np
import pytest

from worldmodel.diagnostics.agreement import Ruler, episode_figures, steps_apart, summary, table
from worldmodel.diagnostics.readings import Reading
from worldmodel.diagnostics.trials import Fork, Moment, Trial

RULER = Ruler(window=2, stride=2, discount=0.9, longest=20.0)
STEPS = 12  # control steps of the path


def moment(to_go: int) -> Moment:
    return Moment(None, np.zeros(7, np.float32), to_go, float(to_go))


def reading(seed: int = 0) -> Reading:
    """The truth under the names of energies, misread in the way that each name says."""
    rng = np.random.default_rng(seed)
    path = tuple(moment(left) for left in range(STEPS, -1, -1))
    ends = tuple(moment(int(left)) for left in rng.permutation(8))
    forks = (Fork(path[0], np.zeros((8, 2, 7), np.float32), ends),)
    left = np.array([m.to_go for m in path]) / RULER.stride
    true = np.array([end.to_go for end in ends], float)
    seen = {"reachability": true, "value": true**2, "latent_l1": -true}
    along = {
        "reachability": left + 1.5,
        "value": (1 - RULER.discount**left) / (1 - RULER.discount),
        "latent_l1": -left,
    }
    imagined = {name: rng.normal(size=8) for name in seen}
    return Reading(Trial(seed, path, forks), along, (seen,), (imagined,))


def test_energies_that_fall_and_rank_are_told_from_those_that_rise():
    figures = episode_figures(reading(), RULER)
    for name, sign in (("reachability", 1), ("value", 1), ("latent_l1", -1)):
        assert figures[name]["falls"] == (sign > 0)
        assert figures[name]["path"] == pytest.approx(sign)
        assert figures[name]["seen"] == pytest.approx(sign)
        assert abs(figures[name]["imagined"]) < 0.9


def test_steps_are_undone_their_discount_and_compared_in_imagined_steps():
    assert steps_apart(reading(), RULER, "latent_l1") is None
    np.testing.assert_allclose(steps_apart(reading(), RULER, "reachability"), 1.5)
    np.testing.assert_allclose(steps_apart(reading(), RULER, "value"), 0.0, atol=1e-9)


def test_a_value_beyond_all_steps_is_as_far_as_anything_is_told_apart():
    assert RULER.steps("value", np.array([11.0]))[0] == pytest.approx(RULER.longest)


def test_an_energy_that_is_not_imagined_has_no_such_figure():
    one = reading()
    one.path["shaped_cost"], one.ends[0]["shaped_cost"] = one.path["value"], one.ends[0]["value"]
    figures = episode_figures(one, RULER)["shaped_cost"]
    assert figures["imagined"] is None
    assert figures["seen"] == pytest.approx(1.0)


def test_means_come_with_intervals_over_episodes_and_errors_with_their_spread():
    found = summary([reading(seed) for seed in range(10)], RULER)
    assert found["reachability"]["bias"]["mean"] == pytest.approx(1.5)
    assert found["reachability"]["spread"] == pytest.approx(0.0, abs=1e-9)
    assert "bias" not in found["latent_l1"]
    low, high = found["value"]["imagined"]["ci95"]
    assert low < found["value"]["imagined"]["mean"] < high
    assert found["value"]["imagined"]["n"] == 10


def test_the_table_has_a_line_per_scene_and_energy():
    found = summary([reading()], RULER)
    lines = table({"plain": found, "rich/test": found}).splitlines()
    assert len(lines) == 1 + 2 * 3
    assert lines[1].startswith("plain      reachability")
    assert "100% [100%, 100%]" in lines[1]
    assert "+1.5 (0.0)" in lines[1]
