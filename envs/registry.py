"""The tasks by name."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from envs.tabletop import TabletopEnv

__all__ = ["TASKS", "entry_point", "gym_id", "make"]

_CLASSES = {
    "reach": "ReachEnv",
    "push": "PushEnv",
    "grasp": "GraspEnv",
    "reach_with_object": "ReachWithObjectEnv",
    "pick_and_place": "PickAndPlaceEnv",
}
TASKS = tuple(_CLASSES)


def entry_point(task: str) -> str:
    """Where gymnasium finds the class of a task."""
    return f"envs.{task}:{_CLASSES[task]}"


def gym_id(task: str, scenery: str = "plain") -> str:
    """The id under which gymnasium knows a task, e.g. ``tabletop/PickAndPlaceRich-v0``."""
    rich = "Rich" if scenery == "rich" else ""
    return f"tabletop/{_CLASSES[task].removesuffix('Env')}{rich}-v0"


def make(
    task: str, image_size: int = 96, scenery: str = "plain", pool: str = "test"
) -> TabletopEnv:
    """A task's environment, without gymnasium's wrappers; see `TabletopEnv` for the arguments.

    Raises:
        ValueError: No such task, image size, scenery or pool.
    """
    if task not in _CLASSES:
        raise ValueError(f"Expected a task among {', '.join(TASKS)}, got {task!r}")
    environment = getattr(import_module(f"envs.{task}"), _CLASSES[task])
    return cast(TabletopEnv, environment(image_size=image_size, scenery=scenery, pool=pool))
