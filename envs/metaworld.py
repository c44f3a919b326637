"""Meta-World: a Sawyer arm and one of fifty things to do with objects on a table.

Starts are the suite's. The goal image shows the scene in which the suite's scripted policy succeeds
from there, which is then undone. Its marks of goals are left out.

The package asks for an older MuJoCo than it needs; ``make metaworld`` installs it beside this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from worldmodel.envs.mujoco_suite import MujocoSuiteEnv, look_at
from worldmodel.envs.suite_env import Array, Verdict, describe, suite_module

__all__ = ["MetaWorldEnv"]

_INSTALL = "pip install --no-deps metaworld==3.1.1"
_NEAR, _LIMIT = 0.05, 300  # m of success; steps that a script may take


class MetaWorldEnv(MujocoSuiteEnv):
    """Bring the object, or in ``reach`` the gripper, to where the goal image shows it.

    Actions move the hand by 1 cm a unit and press the fingers together. Success is within 5 cm, or
    half the way from the start where that is less; strictly, within half of it.

    Args:
        task: The suite's name of it, such as ``reach-v3``; see `SuiteEnv` for the others.
    """

    metadata = describe(
        hz=80,
        kind="delta",
        actions={"dx": 0.01, "dy": 0.01, "dz": 0.01, "grip": 1.0},
        states=["x", "y", "z", "opening"],
        distance_unit="m",
    )
    tasks = None

    def __init__(self, task: str, image_size: int = 64, render_mode: str | None = None) -> None:
        super().__init__(image_size, render_mode)
        kinds = suite_module("metaworld.env_dict", _INSTALL).ALL_V3_ENVIRONMENTS
        if task not in kinds:
            raise ValueError(f"Expected a task among {', '.join(kinds)}, got metaworld:{task}")
        self._policy = suite_module("metaworld.policies", _INSTALL).ENV_POLICY_MAP[task]()
        self._env = kinds[task]()
        self._env.seeded_rand_vec, self._env._freeze_rand_vec = True, False
        self._env._set_task_called, self._env._partially_observable = True, False
        self._env.__dict__.pop("sawyer_observation_space", None)  # what scripts see has a goal now
        self.camera = look_at((0.0, 0.69, 0.15), distance=1.1, azimuth=165.0, elevation=-38.0)
        self._reaching, self._near = task.startswith("reach"), _NEAR

    @override
    def dress(self, model: mujoco.MjModel) -> None:
        model.site_rgba[:, 3] = 0.0

    @override
    def arrange(self) -> None:
        succeeded = False
        while not succeeded:
            self._env.seed(int(self.np_random.integers(2**31)))
            self._env.reset()
            start, place = self.snapshot(), self.scene()
            for _ in range(_LIMIT):
                if succeeded := bool(self._step(self._scripted())["success"]):
                    break
        self.set_goal()
        self._near = min(_NEAR, 0.5 * float(np.linalg.norm(self.goal - place)))
        self.restore(start)

    def _step(self, action: NDArray[np.floating[Any]]) -> dict[str, Any]:
        self._env.curr_path_length = 0  # it refuses more than 500 steps
        info: dict[str, Any] = self._env.step(action)[-1]
        return info

    @override
    def advance(self, action: NDArray[np.floating[Any]]) -> None:
        self._step(action)

    @override
    def proprioception(self) -> Array:
        return np.array(self._env._get_curr_obs_combined_no_goal()[:4])

    @override
    def scene(self) -> Array:
        """Where the objects are, or in ``reach`` the gripper, ``[3 n]`` m."""
        return np.array(self._env.tcp_center if self._reaching else self._env._get_pos_objects())

    @override
    def judge(self, scene: Array, goal: Array) -> Verdict:
        distance = float(np.linalg.norm(scene - goal))
        return Verdict(distance, distance <= self._near, distance <= self._near / 2)

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """The suite's scripted policy and walks to random places in turn, with noise."""
        low, high = self._env.hand_low, self._env.hand_high
        while True:
            place, noise, drift = rng.uniform(low, high), rng.uniform(0.0, 0.5), np.zeros(4)
            scripted, fingers = rng.random() < 0.5, rng.choice([-1.0, 1.0])
            for _ in range(int(rng.integers(20, 80))):
                drift = 0.8 * drift + noise * rng.standard_normal(4)
                walk = np.array([*(10.0 * (place - self._env.get_endeff_pos())), fingers])
                aim = self._scripted() if scripted else np.clip(walk, -1.0, 1.0)
                yield np.clip(aim + drift, -1.0, 1.0)

    def expert(self) -> Iterator[Array]:
        """The suite's scripted policy for the goal that `reset` drew; then it holds still."""
        while True:
            yield self._scripted() * ([0, 0, 0, 1] if self.verdict().strict else [1, 1, 1, 1])

    def _scripted(self) -> Array:
        action = self._policy.get_action(self._env._get_obs())
        return np.clip(np.asarray(action, np.float64), -1.0, 1.0)
