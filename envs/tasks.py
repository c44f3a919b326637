"""The tasks by name."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from worldmodel.envs.tabletop.environment import TabletopEnv

__all__ = ["TASKS", "budget", "entry_point", "gym_id", "make"]

_CLASSES = {
    "reach": "ReachEnv",
    "push": "PushEnv",
    "grasp": "GraspEnv",
    "reach_with_object": "ReachWithObjectEnv",
    "pick_and_place": "PickAndPlaceEnv",
}
TASKS = tuple(_CLASSES)
_BUDGET, _BUDGETS = 40, {"pick_and_place": 60}  # control steps; the latter differ


def entry_point(task: str) -> str:
    """Where gymnasium finds the class of a task."""
    return f"worldmodel.envs.tabletop.{task}:{_CLASSES[task]}"


def budget(task: str) -> int:
    """Control steps after which ``gymnasium.make`` truncates an episode, as the protocol does."""
    return _BUDGETS.get(task, _BUDGET)


def gym_id(task: str, appearance: str = "plain") -> str:
    """The id under which gymnasium knows a task, e.g. ``tabletop/PickAndPlaceRich-v0``."""
    rich = "Rich" if appearance == "rich" else ""
    return f"tabletop/{_CLASSES[task].removesuffix('Env')}{rich}-v0"


def make(
    task: str,
    image_size: int = 96,
    appearance: str = "plain",
    split: str = "test",
    *,
    render_mode: str | None = None,
    width: int = 480,
    height: int = 480,
) -> TabletopEnv:
    """A task's environment, without gymnasium's wrappers; see `TabletopEnv` for the arguments.

    Episodes have no end; ``gymnasium.make`` truncates them after the task's `budget`.

    Raises:
        ValueError: No such task, or an argument is not one of the supported values.
    """
    if task not in _CLASSES:
        raise ValueError(f"Expected a task among {', '.join(TASKS)}, got {task!r}")
    environment = getattr(import_module(f"worldmodel.envs.tabletop.{task}"), _CLASSES[task])
    made = environment(image_size, render_mode, appearance, split, width=width, height=height)
    return cast(TabletopEnv, made)
