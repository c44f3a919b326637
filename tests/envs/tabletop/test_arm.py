"""The arm goes where it is told, and poses compose as in V-JEPA 2-AC."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from worldmodel import envs
from worldmodel.envs.tabletop.environment import WORKSPACE
from worldmodel.envs.tabletop.pose import compose, euler_to_matrix, matrix_to_euler

GOLDEN = Path(__file__).parents[2] / "data" / "pose.npz"


def test_poses_compose_as_in_the_reference() -> None:
    golden = np.load(GOLDEN)
    for pose, action, expected in zip(
        golden["pose"], golden["action"], golden["new_pose"], strict=True
    ):
        np.testing.assert_allclose(compose(pose, action), expected, atol=1e-12)


def test_euler_angles_survive_the_way_through_a_matrix() -> None:
    rng = np.random.default_rng(0)
    for euler in rng.uniform([-3, -1.5, -3], [3, 1.5, 3], (50, 3)):
        np.testing.assert_allclose(matrix_to_euler(euler_to_matrix(euler)), euler, atol=1e-9)


def test_inverse_kinematics_reach_the_whole_workspace() -> None:
    env = envs.make("reach", image_size=64)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for xyz in rng.uniform(*WORKSPACE, (100, 3)):
        env.place_arm(xyz, 1.0)
        np.testing.assert_allclose(env.tool_pose()[:3], xyz, atol=1e-3)
    env.close()


def test_servos_follow_within_a_few_millimetres_and_do_not_drift() -> None:
    env = envs.make("reach", image_size=64)
    env.reset(seed=0)
    env.place_arm(np.array([0.5, 0.0, 0.2]), 1.0)
    target = env.tool_pose()
    rng = np.random.default_rng(0)
    for _ in range(30):
        action = rng.uniform(-1, 1, 7) * [0.03, 0.03, 0.03, 0.05, 0.05, 0.1, 0]
        inside = np.clip(target[:3] + action[:3], *WORKSPACE) - target[:3]
        action[:3] = inside
        target = compose(target, action)
        env.advance(action)
        np.testing.assert_allclose(env.tool_pose()[:3], target[:3], atol=4e-3)
    held = env.tool_pose()
    for _ in range(20):
        env.advance(np.zeros(7))
    np.testing.assert_allclose(env.tool_pose()[:3], held[:3], atol=3e-3)
    env.close()
