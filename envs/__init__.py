"""MuJoCo tabletop manipulation with goal images, and environments of other packages beside it.

Importing this package registers ``tabletop/Reach-v0``, ``tabletop/Push-v0``, ``tabletop/Grasp-v0``,
``tabletop/ReachWithObject-v0`` and ``tabletop/PickAndPlace-v0`` with gymnasium, and each in rich
appearance, ``tabletop/ReachRich-v0`` and so on:

>>> from worldmodel import envs
>>> env = envs.make("push")
>>> observation, info = env.reset(seed=0)
>>> observation["goal"].shape, observation["state"].shape
((96, 96, 3), (7,))
>>> env.close()

Environments of other packages are made by `make_from_suite`, and imported only then.

With gymnasium alone, ``gymnasium.make("worldmodel.envs:tabletop/Push-v0")`` imports this package
first.
"""

from worldmodel.envs.rendering import choose_backend, import_mujoco

choose_backend()
import_mujoco()  # reads the backend, once

import gymnasium  # noqa: E402

from worldmodel.envs.protocol import (  # noqa: E402
    Expert,
    Explorer,
    GoalSetter,
    Resumable,
    Simulator,
)
from worldmodel.envs.suite_env import MissingSuiteError, SuiteEnv  # noqa: E402
from worldmodel.envs.suites import SUITES, make_from_suite  # noqa: E402
from worldmodel.envs.tabletop.appearance import APPEARANCES, check_appearance  # noqa: E402
from worldmodel.envs.tabletop.environment import ACTION_HIGH, CONTROL_HZ, TabletopEnv  # noqa: E402
from worldmodel.envs.tabletop.exploration import collect_episode, labels  # noqa: E402
from worldmodel.envs.tasks import TASKS, budget, entry_point, gym_id, make  # noqa: E402

__all__ = [
    "ACTION_HIGH",
    "APPEARANCES",
    "CONTROL_HZ",
    "SUITES",
    "TASKS",
    "Expert",
    "Explorer",
    "GoalSetter",
    "MissingSuiteError",
    "Resumable",
    "Simulator",
    "SuiteEnv",
    "TabletopEnv",
    "budget",
    "check_appearance",
    "collect_episode",
    "gym_id",
    "labels",
    "make",
    "make_from_suite",
]

for _task in TASKS:
    for _appearance in APPEARANCES:
        gymnasium.register(
            id=gym_id(_task, _appearance),
            entry_point=entry_point(_task),
            max_episode_steps=budget(_task),
            kwargs={"appearance": _appearance},
        )
