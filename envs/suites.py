"""Environments of other packages, by name; each is imported when it is made."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import Any

from worldmodel.envs.suite_env import SuiteEnv

__all__ = ["SUITES", "make_from_suite"]

SUITES = MappingProxyType(
    {
        "two_room": "TwoRoomEnv",
        "reacher": "ReacherEnv",
        "push_t": "PushTEnv",
        "fetch": "FetchEnv",
        "ogbench": "OGBenchEnv",
        "metaworld": "MetaWorldEnv",
    }
)
"""The class of each suite, in the module of its name."""


def make_from_suite(
    name: str, image_size: int | None = None, *, render_mode: str | None = None
) -> SuiteEnv:
    """An environment of another package, in the form that planning needs.

    >>> env = make_from_suite("two_room", image_size=32)
    >>> env.reset(seed=0)[0]["goal"].shape
    (32, 32, 3)

    Args:
        name: A suite, with its task where it has several: ``two_room``, ``reacher``, ``push_t``,
            ``fetch:reach``, ``fetch:push``, ``fetch:pick_and_place``, ``ogbench:cube-single``,
            ``ogbench:cube-double``, ``ogbench:scene``, ``metaworld:reach-v3``.
        image_size: Side of the square images, pixels; 64 by default.
        render_mode: ``rgb_array`` or None.

    Raises:
        MissingSuiteError: Its package is not installed.
        ValueError: There is no such suite or task, or an argument is not supported.
    """
    suite, _, task = name.partition(":")
    if suite not in SUITES:
        raise ValueError(f"Expected a suite among {', '.join(SUITES)}, got {name!r}")
    kind: Any = getattr(import_module(f"worldmodel.envs.{suite}"), SUITES[suite])
    if kind.tasks and task not in kind.tasks:
        known = ", ".join(f"{suite}:{name}" for name in kind.tasks)
        raise ValueError(f"Expected a task among {known}, got {suite}:{task}")
    if kind.tasks == () and task:
        raise ValueError(f"Expected {suite}, which has one task, got {name}")
    told = (task,) if task else ()
    made: SuiteEnv = kind(*told, image_size=image_size or 64, render_mode=render_mode)
    return made
