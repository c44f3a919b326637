"""Claims about all five tasks."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv

from worldmodel import envs
from worldmodel.envs.tabletop.behaviours import step_towards
from worldmodel.envs.tabletop.environment import CUBE, SUCCESS_DISTANCE, WORKSPACE

BUDGET = 43
RETRACTED = ("push", "pick_and_place")


@pytest.fixture(params=envs.TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return request.param


def test_gymnasium_approves_of_every_task(task: str) -> None:
    env = gymnasium.make(envs.gym_id(task), image_size=64)
    check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_gymnasium_approves_of_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    modes = [mode for mode in envs.TabletopEnv.metadata["render_modes"] if mode != "human"]
    monkeypatch.setitem(envs.TabletopEnv.metadata, "render_modes", modes)  # needs no display
    env = gymnasium.make("tabletop/Push-v0", image_size=64, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


def test_gymnasium_truncates_every_task_after_its_budget(task: str) -> None:
    for appearance in envs.APPEARANCES:
        spec = gymnasium.spec(envs.gym_id(task, appearance))
        assert spec.max_episode_steps == envs.budget(task)


def test_a_loop_until_done_ends_after_the_budget() -> None:
    env = gymnasium.make(envs.gym_id("reach"), image_size=64)
    env.reset(seed=0)
    steps, done = 0, False
    while not done:
        *_, terminated, done, _ = env.step(np.zeros(7, np.float32))
        assert not terminated
        steps += 1
    env.close()
    assert steps == envs.budget("reach")


def test_the_size_of_pictures_is_apart_from_that_of_observations() -> None:
    pictured = envs.make("push", 64, render_mode="rgb_array", width=640, height=530)
    plain = envs.make("push", 64, render_mode="rgb_array")
    for env, shape in ((pictured, (530, 640, 3)), (plain, (480, 480, 3))):
        env.reset(seed=0)
        assert env.render().shape == shape
    one, other = (env.step(np.full(7, 0.02, np.float32))[0] for env in (pictured, plain))
    assert one["image"].shape == (64, 64, 3)
    assert np.array_equal(one["image"], other["image"])
    before = plain.render()
    plain.step(np.full(7, 0.02, np.float32))
    assert not np.array_equal(before, plain.render())
    for env in (pictured, plain):
        env.close()
    with pytest.raises(ValueError, match="width and height from 1 to 4096, got 0 and 480"):
        envs.make("push", width=0)


def test_without_a_render_mode_a_picture_is_none_and_a_warning_says_why() -> None:
    env = envs.make("push", 64)
    env.reset(seed=0)
    with pytest.warns(UserWarning, match=r"no render_mode.*rgb_array"):
        assert env.render() is None
    env.close()
    with pytest.raises(ValueError, match=r"render_mode in .*human.*got 'ansi'"):
        envs.make("push", 64, render_mode="ansi")


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([0, 0, np.nan, 0, 0, 0, 0], r"got nan for z \(component 2\)"),
        ([0, 0, 0, 0, 0, 0, -np.inf], r"got -inf for closedness \(component 6\)"),
        (np.zeros(6, np.float32), r"7 numbers.*shape \(6,\)"),
        (np.zeros((1, 7), np.float32), r"shape \(1, 7\)"),
        (0.0, r"shape \(\)"),
        (["0"] * 7, "of <U1"),
        ([None] * 7, "of object"),
        ([[0], [0, 0]], "7 numbers"),
    ],
)
def test_an_action_that_is_not_seven_finite_numbers_changes_nothing(
    action: Any, message: str
) -> None:
    env = envs.make("push", image_size=64)
    env.place_arm(np.array([0.4, 0.0, 0.2]), 1.0)
    before = env.snapshot()
    for act in (env.step, env.advance):
        with pytest.raises(ValueError, match=message):
            act(action)
    after = env.snapshot()
    env.close()
    assert np.array_equal(before.physics, after.physics)
    assert np.array_equal(before.command, after.command)


def test_the_expert_solves_every_task_within_the_budget(task: str) -> None:
    env = envs.make(task, image_size=64)
    solved = 0
    for seed in range(50):
        env.reset(seed=seed)
        expert = env.expert()
        for _ in range(BUDGET):
            env.advance(next(expert))
        solved += env.distance() <= SUCCESS_DISTANCE
    env.close()
    assert solved >= 48, f"{task}: {solved}/50"


def test_the_same_seed_gives_the_same_pixels(task: str) -> None:
    runs = []
    for _ in range(2):
        env = envs.make(task, image_size=64)
        observation, info = env.reset(seed=7)
        frames = [observation["image"], observation["goal"], *info["subgoals"]]
        env.action_space.seed(3)
        for _ in range(3):
            observation, *_ = env.step(env.action_space.sample())
            frames.append(observation["image"])
        runs.append(np.stack(frames))
        env.close()
    assert np.array_equal(*runs)


def test_no_task_is_solved_at_the_start(task: str) -> None:
    env = envs.make(task, image_size=64)
    distances = [env.reset(seed=seed)[1]["distance"] for seed in range(20)]
    env.close()
    assert min(distances) > SUCCESS_DISTANCE


def test_the_last_subgoal_is_the_goal_image(task: str) -> None:
    env = envs.make(task, image_size=64)
    observation, info = env.reset(seed=1)
    env.close()
    stages = {"grasp": 2, "pick_and_place": 3}.get(task, 1)
    assert len(info["subgoals"]) == stages
    assert np.array_equal(info["subgoals"][-1], observation["goal"])
    assert not np.array_equal(observation["goal"], observation["image"])


@pytest.mark.parametrize("task", RETRACTED, indirect=True)
def test_driving_the_gripper_to_its_goal_pose_is_worth_nothing(task: str) -> None:
    env = envs.make(task, image_size=64)
    for seed in range(20):
        env.reset(seed=seed)
        for _ in range(BUDGET):
            env.advance(step_towards(env, env.goal_state[:3]))
        reached = np.linalg.norm(env.tool_pose()[:3] - env.goal_state[:3])
        assert reached < 0.02
        assert env.distance() > SUCCESS_DISTANCE
    env.close()


def test_push_goals_lie_8_to_15_cm_away_with_the_arm_clear_of_the_cube() -> None:
    env = envs.make("push", image_size=64)
    for seed in range(30):
        env.reset(seed=seed)
        assert 0.08 <= env.distance() <= 0.15
        assert np.linalg.norm(env.goal_state[:3] - env.goal_object) > 0.06
    env.close()


def test_an_unknown_task_is_named_beside_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"reach, push.*got 'pull'"):
        envs.make("pull")


def test_image_sizes() -> None:
    for size in (64, 128):
        env = envs.make("reach", image_size=size)
        observation, _ = env.reset(seed=0)
        assert observation["image"].shape == (size, size, 3)
        env.close()
    with pytest.raises(ValueError, match="image_size"):
        envs.make("reach", image_size=65)


def test_environments_run_in_parallel_as_they_do_alone() -> None:
    vector = AsyncVectorEnv(
        [
            lambda: gymnasium.make("worldmodel.envs:tabletop/Push-v0", image_size=64)
            for _ in range(2)
        ],
        context="spawn",
    )
    together, _ = vector.reset(seed=[3, 4])
    vector.close()
    for index, seed in enumerate((3, 4)):
        env = envs.make("push", image_size=64)
        alone, _ = env.reset(seed=seed)
        env.close()
        assert np.array_equal(together["image"][index], alone["image"])
        assert np.array_equal(together["state"][index], alone["state"])


def test_the_rim_keeps_the_cube_on_the_table() -> None:
    env = envs.make("push", image_size=64)
    env.reset(seed=0)
    for direction in range(8):
        angle = direction * np.pi / 4
        heading = np.array([np.cos(angle), np.sin(angle)])
        middle = np.array([0.52, 0.0])
        env.reset_scene()
        env.place_object(np.array([*middle, CUBE]), 0.0)
        env.place_arm(np.array([*(middle - 0.07 * heading), 0.03]), 1.0)
        for _ in range(12):
            env.advance(np.array([*(0.05 * heading), 0, 0, 0, 0, 0]))
        x, y, z = env.object_position()
        assert 0.31 < x < 0.73
        assert abs(y) < 0.26
        assert z > 0.0
    env.close()


def test_commands_stay_within_the_workspace_and_the_action_bounds() -> None:
    env = envs.make("reach", image_size=64)
    env.reset(seed=0)
    before = env.tool_pose()
    env.advance(np.full(7, 1.0))
    moved = np.abs(env.tool_pose()[:3] - before[:3])
    assert moved.max() < 0.055
    for _ in range(12):
        env.advance(np.array([1.0, 1.0, 1.0, 0, 0, 0, 0]))
    assert np.all(env.tool_pose()[:3] < WORKSPACE[1] + 0.005)
    env.close()


def test_a_restored_snapshot_continues_identically() -> None:
    env = envs.make("push", image_size=64)
    env.reset(seed=5)
    snapshot, action = env.snapshot(), np.array([0.02, -0.03, -0.01, 0, 0, 0.1, 0])
    ends = []
    for _ in range(2):
        env.restore(snapshot)
        for _ in range(5):
            env.advance(action)
        ends.append(np.concatenate([env.tool_pose(), env.object_position()]))
    env.close()
    assert np.array_equal(*ends)


def test_the_cost_of_a_state_is_the_same_wherever_the_simulation_is(task: str) -> None:
    env = envs.make(task, image_size=64)
    env.reset(seed=3)
    env.action_space.seed(0)
    costs, tools, things = [], [], []
    for _ in range(6):
        costs.append((env.distance(), env.task_cost()))
        tools.append(env.tool_pose())
        things.append(env.object_position())
        env.advance(env.action_space.sample())
    tool, object_position = np.stack(tools).reshape(2, 3, 7), np.stack(things).reshape(2, 3, 3)
    asked = [of(tool, object_position).ravel() for of in (env.distance_at, env.cost_at)]
    env.close()
    np.testing.assert_allclose(np.stack(asked, -1), costs, rtol=1e-12)


def test_a_cube_squeezed_over_the_rim_still_stays_on_the_table() -> None:
    env = envs.make("push", image_size=64)
    env.reset(seed=0)
    env.place_object(np.array([0.68, 0.0, 0.08]), 0.0)
    env._data.qvel[env._model.joint("cube").dofadr[0]] = 2.0
    env.settle(5)
    assert env.object_position()[0] < 0.73
    assert env.object_position()[2] > 0.0
    env.close()
