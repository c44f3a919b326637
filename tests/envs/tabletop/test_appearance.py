"""Rich appearance changes what is seen and nothing else; training and test looks share nothing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from itertools import combinations, product

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv

from worldmodel import envs
from worldmodel.envs.tabletop import patterns
from worldmodel.envs.tabletop.appearance import THINGS, out_of_reach
from worldmodel.envs.tabletop.environment import CUBE, SUCCESS_DISTANCE, WORKSPACE, TabletopEnv
from worldmodel.envs.tabletop.exploration import collect_episode
from worldmodel.envs.tabletop.splits import SPLITS

POOL_NAMES = tuple(SPLITS)


@pytest.fixture(params=envs.TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=POOL_NAMES)
def rich(request: pytest.FixtureRequest) -> Iterator[TabletopEnv]:
    env = envs.make("push", image_size=96, appearance="rich", split=request.param)
    yield env
    env.close()


def dressed(env: TabletopEnv, seed: int) -> TabletopEnv:
    """A look with the cube in the middle and the arm out of its way."""
    env.randomize(np.random.default_rng(seed))
    env.reset_scene()
    env.place_object(np.array([0.56, 0.0, CUBE]), 0.4)
    env.place_arm(np.array([0.36, 0.2, 0.25]), 1.0)
    return env


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two intervals of turns, none of them longer than half a turn, share a point."""
    distance = abs((sum(one) - sum(other)) / 2) % 1.0
    return min(distance, 1.0 - distance) <= (one[1] - one[0] + other[1] - other[0]) / 2


def test_plain_scenes_are_the_xml_as_it_is() -> None:
    spec = mujoco.MjSpec.from_file(
        str(files("worldmodel.envs.tabletop") / "assets" / "tabletop.xml")
    )
    env = envs.make("push", image_size=64)
    observation, _ = env.reset(seed=0)
    env.add_objects(spec)
    model = spec.compile()
    assert (model.ntex, model.nmat) == (env._model.ntex, env._model.nmat) == (0, 0)
    data = mujoco.MjData(model)
    data.qpos[:] = env._data.qpos
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, 64, 64) as renderer:
        renderer.update_scene(data, camera="front")
        assert np.array_equal(renderer.render(), observation["image"])
    env.close()


def test_gymnasium_approves_of_every_task_in_rich_scenery(task: str) -> None:
    env = gymnasium.make(envs.gym_id(task, "rich"), image_size=64)
    check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_the_registered_environments_draw_from_the_test_pool() -> None:
    images = []
    for env in (gymnasium.make("tabletop/PushRich-v0"), envs.make("push", 96, "rich", "test")):
        images.append(env.reset(seed=3)[0]["image"])
        env.close()
    assert np.array_equal(*images)


def test_a_seed_poses_the_same_task_in_either_scenery(task: str) -> None:
    runs = []
    for appearance in envs.APPEARANCES:
        env = envs.make(task, 64, appearance)
        env.reset(seed=11)
        rows = [env.goal_state, env.goal_object]
        env.action_space.seed(0)
        for _ in range(10):
            env.advance(env.action_space.sample())
            rows += [env.tool_pose(), env.object_position()]
        runs.append(np.concatenate(rows))
        env.close()
    assert np.array_equal(*runs)


def test_exploration_moves_the_same_in_either_scenery() -> None:
    plain, rich = (collect_episode("push", 3, 8, 64, appearance) for appearance in envs.APPEARANCES)
    assert np.array_equal(plain.actions, rich.actions)
    assert np.array_equal(plain.objects, rich.objects)
    assert not np.array_equal(plain.frames, rich.frames)


def test_the_same_seed_gives_the_same_pixels_whatever_look_was_before(rich: TabletopEnv) -> None:
    first, _ = rich.reset(seed=7)
    other, _ = rich.reset(seed=8)
    unseeded, _ = rich.reset()
    again, _ = rich.reset(seed=7)
    for name in ("image", "goal"):
        assert np.array_equal(first[name], again[name])
    for one, two in combinations((first, other, unseeded), 2):
        assert (one["image"] == two["image"]).all(-1).mean() < 0.2


def test_the_goal_image_has_the_look_of_its_episode(rich: TabletopEnv) -> None:
    for seed in range(3):
        observation, _ = rich.reset(seed=seed)
        same = (observation["image"] == observation["goal"]).all(-1).mean()
        assert 0.5 < same < 1.0  # all but the arm and the cube


def test_collected_episodes_are_reproducible_in_rich_scenery() -> None:
    first = collect_episode("push", 3, 4, 64, "rich")
    collect_episode("push", 4, 2, 64, "rich")
    again = collect_episode("push", 3, 4, 64, "rich")
    tested = collect_episode("push", 3, 4, 64, "rich", "test")
    assert np.array_equal(first.frames, again.frames)
    assert not np.array_equal(first.frames, tested.frames)


def test_a_restored_snapshot_looks_as_it_did(rich: TabletopEnv) -> None:
    observation, _ = rich.reset(seed=2)
    snapshot = rich.snapshot()
    rich.step(np.full(7, 0.02, np.float32))
    rich.restore(snapshot)
    assert np.array_equal(rich.camera_image(), observation["image"])


def test_rich_environments_run_in_parallel_as_they_do_alone() -> None:
    vector = AsyncVectorEnv(
        [
            lambda: gymnasium.make("worldmodel.envs:tabletop/PushRich-v0", image_size=64)
            for _ in range(2)
        ],
        context="spawn",
    )
    together, _ = vector.reset(seed=[3, 4])
    vector.close()
    env = envs.make("push", 64, "rich")
    for index, seed in enumerate((3, 4)):
        assert np.array_equal(together["image"][index], env.reset(seed=seed)[0]["image"])
    env.close()


def test_the_expert_solves_every_task_in_rich_scenery(task: str) -> None:
    env = envs.make(task, 64, "rich")
    for seed in range(3):
        env.reset(seed=seed)
        expert = env.expert()
        for _ in range(43):
            env.advance(next(expert))
        assert env.distance() <= SUCCESS_DISTANCE
    env.close()


def test_pools_share_no_hue_no_pattern_and_no_light_direction() -> None:
    for one, other in combinations(SPLITS.values(), 2):
        assert not set(one.patterns) & set(other.patterns)
        for name in ("hues", "azimuths"):
            for pair in ((a, b) for a in getattr(one, name) for b in getattr(other, name)):
                assert not overlap(*pair), (name, pair)


@pytest.mark.parametrize("split", POOL_NAMES)
def test_what_a_pool_draws_lies_within_it(split: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        direction = SPLITS[split].direction(rng)
        azimuth = np.arctan2(direction[1], direction[0]) / (2 * np.pi)
        assert any(overlap((azimuth, azimuth), within) for within in SPLITS[split].azimuths)
        assert np.isclose(np.linalg.norm(direction), 1.0)
        assert direction[2] > 0.5
        colour = SPLITS[split].colour(rng, (0.5, 1.0), (0.2, 0.6))
        assert colour.max() <= 0.6
        assert colour.min() <= 0.5 * colour.max()


@pytest.mark.parametrize("pattern", [p for split in SPLITS.values() for p in split.patterns])
def test_patterns_are_fields_in_0_to_1_that_a_generator_decides(pattern: patterns.Pattern) -> None:
    first, again, other = (pattern(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.shape == (patterns.SIDE, patterns.SIDE)
    assert first.min() >= 0.0
    assert first.max() <= 1.0
    assert first.std() > 0.1
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_however_it_turns_the_arm_keeps_clear_of_the_nearest_places_of_things() -> None:
    env = envs.make("reach", 64, "rich")
    model, data, radius, half_height = env._model, env._data, 0.05, 0.04
    beside = [(x, side * 0.391) for x in np.linspace(-0.2, 0.5, 5) for side in (-1, 1)]
    behind = [(0.159, y) for y in np.linspace(-0.35, 0.35, 6)]
    things = [model.geom(name) for name in THINGS]
    for object_position, xy in zip(things, beside + behind, strict=True):
        assert out_of_reach(np.array(xy), radius)
        object_position.type[:], object_position.size[:] = (
            mujoco.mjtGeom.mjGEOM_CYLINDER,
            [radius, half_height, 0.0],
        )
        object_position.pos[:] = *xy, half_height
    forearm = np.flatnonzero(model.geom_bodyid >= model.body("link5").id)
    low_corners = [(x, y, WORKSPACE[0, 2]) for x in WORKSPACE[:, 0] for y in WORKSPACE[:, 1]]
    for corner, turn in product(low_corners, product((-0.25, 0.25), repeat=3)):
        env.place_arm(np.array(corner), 0.0)
        for _ in range(3):
            env.advance(np.array([0, 0, 0, *turn, 0]))
            pairs = ((part, object_position.id) for part in forearm for object_position in things)
            assert min(mujoco.mj_geomDistance(model, data, *pair, 1.0, None) for pair in pairs) > 0
    env.close()


def test_the_table_within_the_rim_stays_in_view(rich: TabletopEnv) -> None:
    corners = np.array([[x, y, 0.0] for x in (0.32, 0.72) for y in (-0.25, 0.25)])
    for seed in range(20):
        camera = dressed(rich, seed)._data.camera("front")
        seen = (corners - camera.xpos) @ camera.xmat.reshape(3, 3)
        half = np.tan(np.deg2rad(rich._model.camera("front").fovy[0]) / 2)
        assert np.abs(seen[:, :2] / seen[:, 2:]).max() < half


def test_the_cube_stands_out_from_the_table(rich: TabletopEnv) -> None:
    for seed in range(20):
        with_cube = dressed(rich, seed).camera_image().astype(int)
        rich._model.geom("cube").rgba[3] = 0.0
        without = rich.camera_image()
        rich._model.geom("cube").rgba[3] = 1.0
        assert (np.abs(with_cube - without).max(-1) > 40).sum() > 40, seed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"appearance": "ritch"}, "Expected appearance among plain, rich, got 'ritch'"),
        ({"appearance": "rich", "split": "tset"}, "Expected split among train, test, got 'tset'"),
    ],
)
def test_an_unknown_scenery_or_pool_is_named_beside_the_known_ones(
    arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        envs.make("push", **arguments)
