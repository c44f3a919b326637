"""Evaluations as parts of a study: found again by all that they depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from worldmodel.errors import UserError
from worldmodel.studies import plans
from worldmodel.studies.plans import Machine, PlanSettings, planned

SMALL = {"samples": 8, "elites": 3, "proposals": 2, "horizon": 4, "iterations": 1}
PUSH = PlanSettings(pursuit={"budget_steps": 2, "hold_steps": 1}, settings=SMALL)


def test_a_plan_is_run_once_and_read_afterwards(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(str(tiny_checkpoint))
    first = planned(tmp_path, PUSH, machine, episodes=2, batch=2)
    assert (first["n"], first["protocol"]["batch"], first["protocol"]["dtype"]) == (2, 2, "float32")
    monkeypatch.setattr(plans, "evaluate", lambda *_, **__: pytest.fail("run again"))
    assert planned(tmp_path, PUSH, machine, episodes=2, batch=2)["episodes"] == first["episodes"]


def test_whatever_a_plan_depends_on_gives_it_a_folder_of_its_own(tiny_checkpoint: Path) -> None:
    machine = Machine(str(tiny_checkpoint))
    names = {
        plans._digest(PUSH, machine, 2, 0),
        plans._digest(PUSH, machine, 3, 0),
        plans._digest(PUSH, machine._replace(dtype="bfloat16"), 2, 0),
        plans._digest(replace(PUSH, planner="cem"), machine, 2, 0),
        plans._digest(PUSH, Machine("default"), 2, 0),
    }
    assert len(names) == 5


def test_the_published_planner_minimises_what_it_published_but_for_the_users_wishes() -> None:
    task, _ = PlanSettings(planner="vjepa2_ac", pursuit={"metric": "l2"}).resolved()
    assert (task.energy, task.metric, task.prior) == ("latent", "l2", False)


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'budget_steps'"):
        PlanSettings(pursuit={"budget_step": 4}).resolved()
    with pytest.raises(UserError, match="did you mean 'push'"):
        PlanSettings(task="pusch").resolved()
