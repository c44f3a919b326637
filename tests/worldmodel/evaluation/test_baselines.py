"""Each baseline differs from the planner in what its name says, or says why it does not apply."""

from __future__ import annotations

from dataclasses import replace

import pytest

from worldmodel.agents import agent
from worldmodel.agents.agent import Recipe
from worldmodel.agents.task import TaskConfig
from worldmodel.errors import UserError
from worldmodel.evaluation.baselines import (
    BASELINES,
    SIMULATED,
    Comparison,
    NotApplicableError,
    chosen,
)
from worldmodel.planners import CEMConfig, GradientConfig

TASK = TaskConfig(name="push", energy="value", prior=True)


@pytest.fixture
def setting(tiny_world, arm_spec):
    planner = CEMConfig(samples=8, elites=3, horizon=4, proposals=2)
    return Comparison(Recipe(tiny_world, TASK, planner, arm_spec), ())


@pytest.fixture
def made(monkeypatch):
    """What agents are made of, in turn: world, task, planner and more."""
    found = []
    monkeypatch.setattr(agent, "planning_agent", lambda *arguments: found.append(arguments))
    return found


def pursuing(setting, **changes):
    return replace(setting, agent=replace(setting.agent, **changes))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("no_prior", {"prior": False}),
        ("no_world_energy", {"world_energy": ()}),
        ("latent_distance", {"energy": "latent"}),
        ("latent_distance_alone", {"energy": "latent", "prior": False}),
        ("reachability", {"energy": "reachability"}),
    ],
)
def test_an_ablation_changes_what_its_name_says_and_nothing_else(setting, made, name, changes):
    BASELINES[name](setting)
    world, task, planner, *_ = made[0]
    assert task == replace(TASK, **changes)
    assert (world, planner) == (setting.agent.world, setting.agent.planner)


@pytest.mark.parametrize(
    ("name", "changes"), [("no_closeness", {"closeness": 0.0}), ("no_margin", {"margin": None})]
)
def test_what_goal_images_add_is_left_out_alone(setting, made, name, changes):
    task = replace(TASK, energy="value", goal_proprio=True, closeness=3.0, margin=0.5)
    BASELINES[name](pursuing(setting, task=task))
    assert made[0][1] == replace(task, **changes)


def test_the_random_encoder_plans_alike_on_its_own_checkpoint(setting, made):
    BASELINES["random_encoder"](replace(setting, random_world="untrained"))
    assert made[0][:3] == ("untrained", TASK, setting.agent.planner)


@pytest.mark.parametrize(
    ("name", "task", "reason"),
    [
        ("no_prior", replace(TASK, prior=False), "no prior"),
        ("no_world_energy", replace(TASK, world_energy=()), "no world energy"),
        ("no_closeness", TASK, "no closeness"),
        ("no_margin", replace(TASK, margin=None), "no margin"),
        ("latent_distance", replace(TASK, energy="latent"), "itself"),
        ("value", TASK, "task.energy=value is what the planner itself minimises"),
        ("reachability", replace(TASK, energy="reachability"), "itself"),
        ("random_encoder", TASK, "random_encoder_checkpoint="),
    ],
)
def test_a_baseline_that_does_not_apply_says_why(setting, name, task, reason):
    with pytest.raises(NotApplicableError, match=reason):
        BASELINES[name](pursuing(setting, task=task))


def test_gradients_do_not_pass_through_the_simulator(setting):
    follows = pursuing(setting, planner=GradientConfig())
    with pytest.raises(NotApplicableError, match="no gradient passes through the simulator"):
        SIMULATED["true_dynamics"](follows)
    assert SIMULATED["true_dynamics"](setting).facts == {}


def test_the_value_is_a_baseline_where_the_planner_minimises_something_else(setting, made):
    task = replace(TASK, energy="reachability")
    BASELINES["value"](pursuing(setting, task=task))
    assert made[0][1] == TASK


def test_a_learned_energy_that_the_checkpoint_lacks_is_no_baseline(setting):
    for name in ("reachability", "value"):
        task = replace(TASK, energy="latent")
        with pytest.raises(NotApplicableError, match=f"no {name}"):
            BASELINES[name](pursuing(setting, world="tokens", task=task))


def test_all_means_every_baseline_and_names_are_checked():
    assert chosen(["all"]) == [*BASELINES, "true_dynamics", "true_cost", "oracle"]
    assert chosen(["prior", "random", "prior"]) == ["prior", "random"]
    with pytest.raises(UserError, match="unknown baseline 'rendom'; did you mean 'random'"):
        chosen(["rendom"])
