"""Keys and options of release 0.1 answer with their new names."""

from __future__ import annotations

import importlib
import sys

import pytest

from worldmodel import planners
from worldmodel.cli.main import main
from worldmodel.renamed import MOVED


@pytest.mark.parametrize(
    ("words", "now"),
    [
        ("plan planner=grasp", "'planner=grasp' is now 'planner=collocation'"),
        ("train predictor=compact data=d", "'predictor=compact' is now 'predictor=vector'"),
        ("plan task.execute=1", "'task.execute' is now 'task.receding_horizon'"),
        ("plan planner.execute=1", "'planner.execute' is now 'planner.receding_horizon'"),
        ("plan scenery=rich", "'scenery' is now 'appearance'"),
        ("plan pool=train", "'pool' is now 'split'"),
        ("plan task.goal_arm=true", "'task.goal_arm' is now 'task.goal_proprio'"),
        (
            "plan planner=hierarchical planner.slow.samples=8",
            "'planner.slow' is now 'planner.high_level'",
        ),
        (
            "plan planner=hierarchical planner.hold=2",
            "'planner.hold' is now 'planner.replan_every'",
        ),
        (
            "train data=d predictor.training.doubts.steps=3",
            "'predictor.training.doubts' is now 'predictor.training.uncertainty'",
        ),
        (
            "train data=d predictor.training.code.steps=3",
            "'predictor.training.code' is now 'predictor.training.object_latent'",
        ),
        (
            "train data=d predictor.model.code_width=3",
            "'predictor.model.code_width' is now 'predictor.model.object_width'",
        ),
    ],
)
def test_an_old_key_is_told_by_its_new_name(words, now, capsys):
    assert main([*words.split(), "out=o"]) == 1
    assert now in capsys.readouterr().err


def test_an_old_name_of_the_planners_is_told_by_its_new_one():
    with pytest.raises(AttributeError, match=r"GRASP is now worldmodel\.planners\.Collocation"):
        planners.GRASP  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        planners.Nothing  # noqa: B018


@pytest.mark.parametrize(("old", "now"), MOVED.items())
def test_an_old_module_imports_and_says_where_it_is(old, now):
    sys.modules.pop(f"worldmodel.{old}", None)
    with pytest.warns(FutureWarning, match=rf"worldmodel\.{old} is now worldmodel\.{now}"):
        module = importlib.import_module(f"worldmodel.{old}")
    new = importlib.import_module(f"worldmodel.{now}")
    assert all(getattr(module, name) is getattr(new, name) for name in new.__all__)


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'worldmodel\.data\.nothing'"):
        importlib.import_module("worldmodel.data.nothing")
