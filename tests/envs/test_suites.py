"""Claims about every environment of another package, and of the built-in one where it joins in."""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from worldmodel import envs

SOLVED = {"two_room", "reacher", "fetch:reach", "ogbench:cube-single", "metaworld:reach-v3"}
NAMES = (
    *("two_room", "reacher", "push_t", "fetch:reach", "fetch:push", "fetch:pick_and_place"),
    *("ogbench:cube-single", "ogbench:cube-double", "ogbench:scene"),
    *("metaworld:reach-v3", "metaworld:push-v3"),
)
PACKAGES = {
    "ogbench:cube-single": ("ogbench", "pip install 'worldmodel[ogbench]'"),
    "reacher": ("dm_control", "pip install 'worldmodel[reacher]'"),
    "push_t": ("gym_pusht", "pip install 'worldmodel[pusht]'"),
    "fetch:push": ("gymnasium_robotics", "pip install 'worldmodel[fetch]'"),
    "metaworld:reach-v3": ("metaworld", "pip install --no-deps metaworld==3.1.1"),
}


def made(name: str) -> envs.SuiteEnv:
    try:
        return envs.make_from_suite(name, render_mode="rgb_array")
    except envs.MissingSuiteError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=NAMES)
def env(request: pytest.FixtureRequest) -> Iterator[Any]:
    env = made(request.param)
    env.name = request.param
    yield env
    env.close()


def explored(env: Any, seed: int, steps: int) -> list[np.ndarray]:
    """Actions that `explore` has just taken."""
    actions = []
    for action in itertools.islice(env.explore(np.random.default_rng(seed)), steps):
        env.advance(action)
        actions.append(action)
    return actions


def test_gymnasium_approves(env: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of infinite bounds, and of a missing spec
        check_env(env)


def test_it_offers_what_the_protocols_ask_for(env: Any) -> None:
    for kind in (envs.Resumable, envs.GoalSetter, envs.Explorer):
        assert isinstance(env, kind)
    assert isinstance(env, envs.Expert) == (env.name != "push_t")


@pytest.mark.parametrize("task", envs.TASKS)
def test_so_does_the_built_in_arm(task: str) -> None:
    env = envs.make(task, 64)
    for kind in (envs.Resumable, envs.GoalSetter, envs.Explorer, envs.Expert):
        assert isinstance(env, kind)
    env.reset(seed=0)
    actions = explored(env, 0, 8)
    assert (np.abs(actions) <= envs.ACTION_HIGH).all()
    env.set_goal()
    assert env.distance() == 0.0
    assert np.array_equal(env.observe()["goal"], env.observe()["image"])
    assert_described(env)
    env.close()


def assert_described(env: Any) -> None:
    actions, states = env.metadata["actions"], env.metadata["states"]
    assert (len(actions["names"]),) == env.action_space.shape
    assert (len(states["names"]),) == env.observation_space["state"].shape
    assert actions["kind"] in ("pose_delta", "delta", "absolute", "velocity", "torque", "generic")
    assert states["kind"] in ("pose", "generic")
    assert len(actions["rest"]) == len(actions["scale"]) == len(actions["names"])
    assert env.action_space.contains(np.array(actions["rest"], np.float32))
    for part in ("periodic", "half_turn", "hidden"):
        assert set(states[part]) <= set(states["names"])
    assert set(states["half_turn"]) <= set(states["periodic"])
    assert env.metadata["distance_unit"] in ("m", "px", "rad")


def test_its_actions_and_states_are_described(env: Any) -> None:
    assert_described(env)


def test_the_same_seed_gives_the_same_pixels_whatever_ran_before(env: Any) -> None:
    other = made(env.name)
    env.reset(seed=1)
    explored(env, 5, 4)
    runs = []
    for each in (env, other):
        observation, info = each.reset(seed=7)
        explored(each, 3, 4)
        runs.append((observation, info, each.observe()))
    other.close()
    for one, another in zip(*runs, strict=True):
        for key in one:
            assert np.array_equal(one[key], another[key]), key


def test_a_restored_snapshot_continues_as_the_simulation_did(env: Any) -> None:
    env.reset(seed=3)
    explored(env, 1, 25)
    snapshot, seen = env.snapshot(), env.observe()
    actions = explored(env, 2, 12)
    end = env.observe()
    env.restore(snapshot)
    again = env.observe()
    for action in actions:
        env.advance(action)
    for one, another in ((seen, again), (end, env.observe())):
        assert np.array_equal(one["image"], another["image"])
        assert np.array_equal(one["state"], another["state"])


def test_no_episode_starts_at_its_goal(env: Any) -> None:
    for seed in range(5):
        observation, info = env.reset(seed=seed)
        assert not info["success"]
        assert info["distance"] > 0
        assert not np.array_equal(observation["image"], observation["goal"])


def test_the_present_scene_made_the_goal_is_reached_at_once(env: Any) -> None:
    env.reset(seed=2)
    explored(env, 0, 20)
    env.set_goal()
    assert env.verdict()[1:] == (True, True)
    assert env.verdict().distance == 0.0
    assert np.array_equal(env.observe()["goal"], env.observe()["image"])


def test_exploring_stays_in_bounds_and_moves_the_state(env: Any) -> None:
    env.reset(seed=4)
    states = []
    for action in itertools.islice(env.explore(np.random.default_rng(0)), 60):
        assert action.shape == env.action_space.shape
        assert (np.abs(action) <= 1.0).all()
        env.advance(action)
        states.append(env.proprioception())
    hidden = env.metadata["states"]["hidden"]
    for name, spread in zip(env.metadata["states"]["names"], np.ptp(states, axis=0), strict=True):
        assert spread > (0.0 if name in hidden else 0.01), name


def test_rest_does_nothing_visible(env: Any) -> None:
    before = env.reset(seed=0)[0]["image"].astype(float)
    rest = np.array(env.metadata["actions"]["rest"], np.float32)
    after = env.step(rest)[0]["image"]
    assert np.abs(after - before).mean() < 2.0  # OGBench's arm sags by 2 mm


def test_an_action_is_clipped_and_no_number_is_refused(env: Any) -> None:
    env.reset(seed=0)
    start, width = env.snapshot(), env.action_space.shape
    ends = []
    for size in (1.0, 5.0):
        env.restore(start)
        ends.append(env.step(np.full(width, size))[0]["state"])
    assert np.array_equal(*ends)
    for wrong in (np.full(width, np.nan), np.zeros(width[0] + 1)):
        with pytest.raises(ValueError, match=env.metadata["actions"]["names"][0]):
            env.step(wrong)
    assert np.array_equal(env.observe()["state"], ends[1])


def test_episodes_have_no_end(env: Any) -> None:
    env.reset(seed=0)
    env.set_goal()
    _, reward, terminated, truncated, info = env.step(np.zeros(env.action_space.shape))
    assert (reward, terminated, truncated) == (1.0, False, False)
    assert info["success"]


@pytest.mark.parametrize("name", sorted(SOLVED))
def test_the_expert_reaches_the_goal_and_stays(name: str) -> None:
    env = made(name)
    for seed in range(3):
        env.reset(seed=seed)
        for action in itertools.islice(env.expert(), 200):
            env.advance(np.clip(action, -1.0, 1.0))
        assert env.verdict().strict
    env.close()


def test_environments_run_beside_each_other() -> None:
    vector = gymnasium.vector.SyncVectorEnv([lambda: made("reacher")] * 2)
    together, _ = vector.reset(seed=[3, 4])
    vector.close()
    for index, seed in enumerate((3, 4)):
        env = made("reacher")
        assert np.array_equal(together["image"][index], env.reset(seed=seed)[0]["image"])
        env.close()


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_that_is_missing_is_named_with_a_cure(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, cure = PACKAGES[name]
    for module in [module for module in sys.modules if module.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Missing(package), *sys.meta_path])
    with pytest.raises(envs.MissingSuiteError) as error:
        envs.make_from_suite(name)
    assert str(error.value) == f"{package} is not installed: {cure}"


class Missing:
    """Hides a package from the import system."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, *_: Any) -> None:
        if name == self.package:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pull_t", r"suite among two_room, .*got 'pull_t'"),
        ("two_room:left", "one task, got two_room:left"),
        ("reacher:hard", "one task, got reacher:hard"),
        ("push_t:easy", "one task, got push_t:easy"),
        ("fetch:slide", "among fetch:reach, .*got fetch:slide"),
        ("ogbench", "among ogbench:cube-single, .*got ogbench:"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        envs.make_from_suite(name)


def test_an_argument_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match="from 16 to 1024 pixels, got 8"):
        envs.make_from_suite("two_room", 8)
    with pytest.raises(ValueError, match=r"render_mode in .*got 'human'"):
        envs.make_from_suite("two_room", render_mode="human")


def test_importing_envs_imports_no_suite() -> None:
    import subprocess

    code = "import sys, worldmodel.envs; print({name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for package, _ in PACKAGES.values():
        assert f"'{package}'" not in run.stdout
