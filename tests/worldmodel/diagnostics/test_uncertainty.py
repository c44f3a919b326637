"""``worldmodel acceptance`` judges uncertainties by what comes of plans."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from worldmodel import envs
from worldmodel.agents.objective import task_objective
from worldmodel.agents.planner import make_planner
from worldmodel.agents.policies import planning_agent, search_agent
from worldmodel.agents.task import TaskConfig
from worldmodel.cli.main import main
from worldmodel.diagnostics.recorder import Recorder
from worldmodel.diagnostics.true_errors import TRIVIAL, Moment, Watched
from worldmodel.diagnostics.uncertainty import Measured, judged, table
from worldmodel.planners import CEMConfig
from worldmodel.predictors.uncertainty import TERMS

TASK = TaskConfig(name="push", energy="value", prior=True)
PLANNER = CEMConfig(samples=6, iterations=2, horizon=4, elites=3, proposals=2)


@pytest.fixture
def env():
    env = envs.make("push", 64)
    env.reset(seed=0)
    yield env
    env.close()


@pytest.fixture
def watched(env, tiny_world, arm_bounds):
    """Makes an agent at whose plans the candidates are carried out."""

    def make(every=1):
        recorder = Recorder(tiny_world)
        planner = make_planner(tiny_world, TASK, PLANNER, *arm_bounds)
        agent = search_agent(recorder, task_objective(tiny_world, TASK), TASK, planner)
        return Watched(agent, recorder, tiny_world, env, every, 3)

    return make


def observed(env):
    observation = env.observe()
    return [torch.from_numpy(observation[key])[None] for key in ("goal", "image", "state")]


def test_measuring_changes_neither_what_is_decided_nor_the_simulator(
    env, tiny_world, arm_bounds, watched
):
    goal, *seen = observed(env)
    policy, alone = watched(), planning_agent(tiny_world, TASK, PLANNER, arm_bounds)
    before = env.snapshot()
    for agent in (policy, alone):
        agent.reset(goal, seed=3)
    for _ in range(3):
        assert torch.equal(policy.act(*seen), alone.act(*seen))
    np.testing.assert_array_equal(env.snapshot().physics, before.physics)


def test_errors_are_those_of_the_plan_first_and_then_of_what_was_searched(env, tiny_world, watched):
    goal, image, state = observed(env)
    policy = watched()
    policy.reset(goal)
    policy.act(image, state)
    (moment,) = policy.moments
    assert moment.errors.shape == (1 + 3, 2)
    assert set(moment.predictors) == {*TERMS, *TRIVIAL}
    plan, start = policy.records[0].plan.actions, env.snapshot()
    look = tiny_world.encode(goal[:, None])[:, 0]
    context = tiny_world.project(tiny_world.encode(image[:, None]), look), state[:, None]
    imagined = tiny_world.rollout(*context, plan[:, None])
    for k in range(2):
        for action in plan[0, 2 * k : 2 * k + 2].double().numpy():
            env.advance(action)
        true = tiny_world.encode(torch.from_numpy(env.camera_image())[None, None])
        true = tiny_world.project(true, look)
        missed = tiny_world.predictor.object_latents(true[0, 0, 0] - imagined.latents[0, 0, k, 0])
        torch.testing.assert_close(moment.errors[0, k], missed.square().mean())
    env.restore(start)
    scaled = tiny_world.predictor.scale_actions(plan[0]).norm(dim=-1)
    torch.testing.assert_close(
        moment.predictors["path_length"][0], torch.stack([scaled[:2].sum(), scaled.sum()])
    )


def test_of_several_plans_the_first_is_measured_and_a_reset_forgets(env, watched):
    goal, *seen = observed(env)
    policy = watched(every=2)
    policy.reset(goal)
    for _ in range(3 * PLANNER.receding_horizon):
        policy.act(*seen)
    assert len(policy.records) == 3
    assert len(policy.moments) == 2
    policy.reset(goal)
    assert policy.moments == []


def moments(episodes=30, steps=3):
    """Errors that grow with step and actions; ``oracle`` knows them, ``noise`` does not."""
    noise = torch.Generator().manual_seed(0)
    for _ in range(episodes):
        norm = torch.rand(8, steps, generator=noise)
        luck = torch.randn(8, steps, generator=noise).exp()
        errors = torch.arange(1, steps + 1) * (0.3 * norm + luck)
        yield [
            Moment(
                errors[rows],
                {
                    "oracle": errors[rows],
                    "noise": torch.rand(4, steps, generator=noise),
                    "action_norm": norm[rows],
                },
            )
            for rows in (slice(0, 4), slice(4, 8))
        ]


def test_a_doubt_that_knows_is_told_from_one_that_does_not():
    measured = Measured.of(list(moments()))
    assert measured.errors.shape == (30 * 8, 3)
    assert measured.best.sum() == 60
    assert measured.episode[[0, 7, 8, -1]].tolist() == [0, 0, 1, 29]
    for which in ("best", "all"):
        found = judged(measured, which, resamples=50)
        assert found["oracle"]["spearman"]["value"] == pytest.approx(1)
        low, high = found["oracle"]["over_action_norm"]["spearman_within"]["ci95"]
        assert 0 < low < high
        low, high = found["noise"]["spearman_within"]["ci95"]
        assert low < 0 < high


def test_the_command_writes_figures_with_their_protocol_and_a_picture(
    tiny_checkpoint, tmp_path, capsys
):
    words = (
        "acceptance task=push episodes=2 every=1 candidates=2 resamples=4 task.budget_steps=4 "
        "planner.samples=6 planner.elites=3 planner.proposals=2 planner.horizon=4"
    )
    given = [*words.split(), f"checkpoint={tiny_checkpoint}", f"out={tmp_path / 'out'}", "--debug"]
    assert main(given) == 0
    report = json.loads((tmp_path / "out" / "acceptance.json").read_text())
    assert report["n"] == {"episodes": 2, "plans": 4, "candidates": 12, "imagined_steps": 2}
    assert report["protocol"]["world_energy"] == ["disagreement"]
    for which in ("best", "all"):
        assert list(report[which]) == [*TERMS, *TRIVIAL]
        assert len(report["error_per_step"][which]) == 2
    printed = capsys.readouterr().out
    assert table(report) in printed
    assert (tmp_path / "out" / "acceptance.png").read_bytes().startswith(b"\x89PNG")
