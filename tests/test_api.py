"""The public API: what a script writes, what it gets, and what it is told when it is wrong."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import worldmodel as wm
from worldmodel.agents.task import TaskConfig
from worldmodel.envs import ACTION_HIGH
from worldmodel.planners import ICEMConfig


@pytest.fixture(scope="module")
def env() -> Any:
    made = wm.make_env("reach")
    yield made
    made.close()


@pytest.fixture(scope="module")
def agent(env: Any) -> wm.PlanningAgent:
    return wm.make_agent("default", env)


@pytest.fixture
def observation(env: Any, agent: wm.PlanningAgent) -> dict[str, Any]:
    observation, _ = env.reset(seed=0)
    agent.reset(observation["goal"])
    return observation


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "torch", "numpy", "hydra", "mujoco"
    script = f"import sys, worldmodel; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_listed() -> None:
    assert set(wm.__all__) <= set(dir(wm))
    assert all(getattr(wm, name) is not None for name in wm.__all__)
    assert wm.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'plann'"):
        wm.plann  # noqa: B018


def test_ten_lines_evaluate_the_default_world(
    agent: wm.PlanningAgent, env: Any, tmp_path: Path
) -> None:
    report = wm.evaluate(agent, env, episodes=2, seed=0)
    assert report.success is not None
    assert (report.success.n, report.success.rate) == (2, 1.0)
    assert report.success.low < report.success.rate <= report.success.high
    assert "reach: n = 2" in str(report)
    assert (report.save(tmp_path) / "report.html").exists()


def test_numpy_and_torch_decide_alike(agent: wm.PlanningAgent, observation: dict[str, Any]) -> None:
    action = agent.act(observation)
    assert (action.shape, action.dtype) == ((7,), np.float32)
    agent.reset(torch.from_numpy(observation["goal"]))
    tensors = {name: torch.from_numpy(value) for name, value in observation.items()}
    np.testing.assert_array_equal(agent.act(tensors), action)


def test_what_the_task_decides_is_the_same_on_the_command_line(env: Any) -> None:
    from worldmodel.cli.configuration import composed, load, typed

    load("plan")
    for planner in ("icem", "cem", "hierarchical", "retrieval", "vjepa2_ac"):
        config = typed(composed("plan", ["task=reach", f"planner={planner}", "out=o"]))
        recipe = wm.make_agent("default", env, planner=planner).recipe
        assert (recipe.task, recipe.planner) == (config.task, config.planner)


def test_settings_of_ones_own_outweigh_the_tasks(env: Any) -> None:
    recipe = wm.make_agent("default", env, planner="icem", settings={"horizon": 6}).recipe
    assert recipe.planner.horizon == 6
    assert recipe.planner.std == recipe.task.search_std
    own = ICEMConfig(samples=16, horizon=4)
    assert wm.make_agent("default", env, planner=own).recipe.planner is own


def test_settings_by_name_are_the_commands() -> None:
    assert wm.preset("planner", "icem", samples=16) == ICEMConfig(samples=16)
    assert wm.preset("task", "push").energy == "value"
    with pytest.raises(wm.errors.SettingsError, match="Expected samples of at least 1, got 0"):
        wm.preset("planner", "icem", samples=0)
    with pytest.raises(wm.errors.UserError, match="unknown planner 'cme'; did you mean 'cem'"):
        wm.preset("planner", "cme")
    with pytest.raises(wm.errors.UserError, match="planner 'grasp' is now 'collocation'"):
        wm.preset("planner", "grasp")
    with pytest.raises(wm.errors.UserError, match="Expected a planner's name, got None"):
        wm.preset("planner", None)  # type: ignore[arg-type]
    with pytest.raises(wm.errors.SettingsError, match="unknown group 'plannr'"):
        wm.preset("plannr", "cem")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda o: o | {"image": o["image"] / 255}, r"in \[0, 1\]: give"),
        (lambda o: o | {"image": o["image"].astype(np.float32)}, "as uint8 in 0 to 255"),
        (lambda o: o | {"image": o["image"][None]}, "one frame is wanted, got a batch"),
        (lambda o: o | {"image": o["image"][:48, :48]}, "96 x 96 pixels"),
        (lambda o: o | {"state": o["state"][:3]}, r"Expected a state \[7\]"),
        (lambda o: o | {"state": np.full(7, np.nan)}, "finite state"),
        (lambda o: {"state": o["state"]}, "an observation with an image"),
        (lambda o: o["image"], "an observation with an image"),
    ],
)
def test_a_wrong_observation_is_told(
    agent: wm.PlanningAgent, observation: dict[str, Any], change: Any, told: str
) -> None:
    with pytest.raises(wm.errors.InputError, match=told):
        agent.act(change(observation))


def test_a_wrong_goal_is_told(agent: wm.PlanningAgent, observation: dict[str, Any]) -> None:
    with pytest.raises(wm.errors.InputError, match="one frame is wanted"):
        agent.reset(observation["goal"][None])
    with pytest.raises(wm.errors.InputError, match=r"in \[0, 1\]"):
        agent.reset(observation["goal"] / 255)


SMALL = spaces.Box(0, 255, (64, 64, 3), np.uint8)
ARM = spaces.Box(-ACTION_HIGH, ACTION_HIGH)


class Bare(gymnasium.Env):  # type: ignore[type-arg]
    """An environment that lacks something of the contract."""

    def __init__(self, **changes: Any) -> None:
        image = spaces.Box(0, 255, (96, 96, 3), np.uint8)
        seen = {"image": image, "goal": image, "state": spaces.Box(-1, 1, (7,))} | changes
        self.action_space = seen.pop("action", spaces.Box(-1, 1, (7,)))
        self.observation_space = spaces.Dict({k: v for k, v in seen.items() if v is not None})


class Posed(Bare):
    """One that says that it moves as the built-in arm does."""

    metadata = {"actions": {"kind": "pose_delta"}, "states": {"kind": "pose"}}  # noqa: RUF012


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (Bare(goal=None), "with goal, got"),
        (
            Bare(image=spaces.Box(0, 1, (96, 96, 3), np.float32)),
            r"as uint8 \[h,w,3\] in 0 to 255, got float32",
        ),
        (
            Bare(image=SMALL, goal=SMALL),
            "got 64 x 64 of the environment; make it with image_size=96",
        ),
        (Bare(state=spaces.Box(-1, 1, (3,))), "expected state_width of 7, .*, got 3 of"),
        (Bare(image=SMALL), "a goal image of camera 'image' like its own"),
        (Bare(), "expected actions.kind of pose_delta, .*, got generic of"),
        (Bare(action=spaces.Discrete(3)), "actions in a Box"),
        (Posed(), "expected actions.low of dx of -0.05, .*, got -1 of"),
        (Bare(action=spaces.Box(-np.inf, np.inf, (7,))), "Expected bounded actions"),
        (SimpleNamespace(action_space=ARM, observation_space=None), "with image and goal, got"),
    ],
)
def test_an_environment_that_does_not_fit_is_told(made: Any, told: str) -> None:
    with pytest.raises(wm.errors.UserError, match=told):
        wm.make_agent("default", made)


def test_an_unknown_environment_is_told_with_the_nearest() -> None:
    with pytest.raises(
        wm.errors.UserError, match="unknown environment 'pusj'; did you mean 'push'"
    ):
        wm.make_env("pusj")
    with pytest.raises(wm.errors.UserError, match="cannot be made"):
        wm.make_env("no_such_module:make")


def test_a_call_says_which_setting_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(wm.errors.SettingsError, match="missing value: data=… out=…"):
        wm.train()
    with pytest.raises(
        wm.errors.SettingsError, match="unknown key 'holdoud'; did you mean 'holdout'"
    ):
        wm.train(holdoud=0.1)  # type: ignore[call-arg]
    with pytest.raises(wm.errors.SettingsError, match="Expected holdout below 1, got 3"):
        wm.pretrain(data="d", out=str(tmp_path), training="vjepa", holdout=3)
    with pytest.raises(wm.errors.UserError, match="unknown predictor 'vectr'"):
        wm.train(data="d", out="o", predictor="vectr")


def test_signatures_tell_the_settings() -> None:
    for call in (wm.collect, wm.pretrain, wm.train, wm.bench):
        parameters = inspect.signature(call).parameters
        assert {"out"} <= set(parameters)
        assert all(f"{name}:" in (call.__doc__ or "") for name in parameters)


def test_a_task_without_settings_is_pursued_as_any_goal_image() -> None:
    recipe = wm.make_agent("default", Posed(action=ARM)).recipe
    assert isinstance(recipe.task, TaskConfig)
    assert recipe.task == wm.preset("task", "goal_image", name="Posed")
    assert recipe.task.active_dims is None


def test_recordings_become_a_dataset_that_trains(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    recordings = [
        wm.Recording(
            frames=rng.integers(0, 255, (12, 24, 24, 3), dtype=np.uint8),
            actions=rng.normal(size=(12, 2)).astype(np.float32),
            states=rng.normal(size=(12, 3)).astype(np.float32),
            task="look",
        )
        for _ in range(4)
    ]
    data = wm.write_dataset(tmp_path / "data", recordings, fps=4)
    encoder = wm.preset("encoder", "small", image_size=24, width=24, depth=1, heads=2)
    training = wm.preset("training", "vjepa", steps=0)
    wm.pretrain(
        data=str(data),
        out=str(tmp_path / "encoder"),
        encoder=encoder,
        training=training,
        cache=str(tmp_path / "cache"),
    )
    recipe = wm.preset(
        "predictor",
        "tokens",
        model={"width": 24, "depth": 1, "heads": 2},
        training={"steps": 1, "batch": 2, "frames": 4},
    )
    wm.train(
        data=str(data),
        out=str(tmp_path / "world"),
        predictor=recipe,
        holdout=0.3,
        encoder_checkpoint=str(tmp_path / "encoder"),
        cache=str(tmp_path / "cache"),
    )
    world = wm.load_world(tmp_path / "world")
    assert world.action_width == 2
    image = spaces.Box(0, 255, (24, 24, 3), np.uint8)
    state, reach = spaces.Box(-1, 1, (3,)), spaces.Box(-9, 9, (2,))
    agent = wm.make_agent(world, Bare(image=image, goal=image, state=state, action=reach))
    assert agent.recipe.bounds.high.tolist() == [9, 9]  # and not the largest recorded
    assert (agent.recipe.task.energy, agent.recipe.task.prior) == ("latent", False)
    with pytest.raises(wm.errors.UserError, match="to be new or empty"):
        wm.write_dataset(tmp_path / "data", recordings, fps=4)
    wrong = wm.Recording(frames=np.zeros((3, 24, 24, 3)), actions=np.zeros((3, 2)))  # type: ignore[arg-type]
    with pytest.raises(wm.errors.InputError, match="frames as uint8"):
        wm.write_dataset(tmp_path / "other", [wrong], fps=4)


def test_an_environment_need_not_judge_itself(agent: wm.PlanningAgent, env: Any) -> None:
    class Silent(gymnasium.Wrapper):  # type: ignore[type-arg]
        def reset(self, **options: Any) -> Any:
            return self.env.reset(**options)[0], {}

        def step(self, action: Any) -> Any:
            return (*self.env.step(action)[:4], {})

    report = wm.evaluate(agent, Silent(env), episodes=1)
    assert report.success is None
    assert "n = 1" in str(report)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"episodes": 0}, "Expected episodes as a whole number from 1 on, got 0"),
        ({"episodes": 1.5}, "Expected episodes as a whole number"),
        ({"seed": -1}, "Expected seed as a whole number from 0 on"),
        ({"videos": -1}, "Expected videos as a whole number from 0 on"),
        ({"hz": 0}, "Expected hz above 0"),
        ({"env": []}, "Expected an environment or more"),
        ({"env": "push"}, "Expected an environment of gymnasium"),
        ({"agent": "default"}, "Expected an agent from make_agent"),
    ],
)
def test_a_wrong_evaluation_is_told(
    agent: wm.PlanningAgent, env: Any, given: dict[str, Any], told: str
) -> None:
    call: dict[str, Any] = {"agent": agent, "env": env, "episodes": 1} | given
    with pytest.raises(wm.errors.UserError, match=told):
        wm.evaluate(call.pop("agent"), call.pop("env"), **call)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"dtype": "float3"}, "Expected dtype to be one of auto"),
        ({"budget_ms": -1}, "Expected budget_ms above 0"),
        ({"checkpoint": None}, "Expected the folder of a checkpoint"),
        ({"env": "push"}, "Expected an environment of gymnasium"),
    ],
)
def test_a_wrong_agent_is_told(env: Any, given: dict[str, Any], told: str) -> None:
    call: dict[str, Any] = {"checkpoint": "default", "env": env} | given
    with pytest.raises(wm.errors.UserError, match=told):
        wm.make_agent(call.pop("checkpoint"), call.pop("env"), **call)


def test_an_agent_without_a_goal_says_so(env: Any) -> None:
    observation, _ = env.reset(seed=0)
    with pytest.raises(wm.errors.InputError, match=r"call agent\.reset\(goal\) first"):
        wm.make_agent("default", env).act(observation)
    with pytest.raises(wm.errors.InputError, match="an array of pixels"):
        wm.make_agent("default", env).reset("goal.png")  # type: ignore[arg-type]
