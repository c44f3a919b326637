"""Options of the configuration groups, and what a task decides of a planner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from worldmodel.agents.task import DECIDED, TaskConfig, planner_changes, task_for
from worldmodel.errors import UserError
from worldmodel.presets import instance, preset, preset_node, schema
from worldmodel.registry import GROUPS, PLANNERS

__all__ = [
    "RENAMED",
    "decided",
    "decided_by",
    "experiments",
    "register_command",
    "register_options",
    "renamed",
]

RENAMED = {
    "predictor=compact": "predictor=vector",
    "planner=grasp": "planner=collocation",
    "execute": "receding_horizon",
    "slow": "high_level",
    "fast": "low_level",
    "hold": "replan_every",
    "scenery": "appearance",
    "sceneries": "appearances",
    "pool": "split",
    "goal_arm": "goal_proprio",
    "code_width": "object_width",
    "arm_width": "proprio_width",
    "arm_goals": "proprio_goals",
    "arm_near": "proprio_near",
    "code": "object_latent",
    "arm": "proprio",
    "doubts": "uncertainty",
}
"""Keys and options of release 0.1, which answer with their new names."""


def renamed(key: str) -> str | None:
    """The new name of a key of release 0.1, wherever it stands; None if it has none."""
    parts = [RENAMED.get(part, part) for part in key.split(".")]
    now = ".".join(parts)
    return now if now != key else None


def register_command(command: str, config: type[Any], groups: Sequence[str]) -> None:
    """Make a command's configuration known to Hydra: its schema, its defaults, its groups.

    The YAML of ``configs/`` is stored with the rest, so that what a task decides can replace it.
    """
    store, folder = ConfigStore.instance(), resources.files("worldmodel.configs")
    store.store(name=f"{command}_schema", node=schema(config))
    store.store(name=command, node=_yaml(folder / f"{command}.yaml"))
    register_options(groups)
    store.repo["experiment"] = {}  # without those of a command that this process composed before
    for name in experiments(command):
        node = _yaml(folder / "experiment" / command / f"{name}.yaml")
        store.store(group="experiment", name=name, node=node, package="_global_")


def experiments(command: str) -> list[str]:
    """What ``+experiment=`` can name: settings of a command that a page of docs/ reports on."""
    folder = resources.files("worldmodel.configs") / "experiment" / command
    if not folder.is_dir():
        return []
    names = (file.name for file in folder.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def _yaml(file: Traversable) -> DictConfig:
    node = OmegaConf.create(file.read_text("utf-8"))
    assert isinstance(node, DictConfig)
    return node


def register_options(groups: Iterable[str] = GROUPS) -> None:
    """Make all options of groups known to Hydra, and the schemas that YAML may begin with."""
    store = ConfigStore.instance()
    store.store(group="task", name="task_schema", node=schema(TaskConfig))
    for group in groups:
        for name in GROUPS[group].names():
            config = GROUPS[group].find(name).config
            if config is not None:
                store.store(group=group, name=f"{name}_schema", node=schema(config))
                store.store(group=group, name=name, node=schema(preset(group, name)))


@contextmanager
def decided(config: DictConfig) -> Iterator[bool]:
    """In the block, planner and task are what they decide of each other; whether anything changes.

    Args:
        config: Composed without that; its overrides are in it.
    """
    choices = OmegaConf.select(config, "hydra.runtime.choices") or {}
    planner, task = choices.get("planner"), choices.get("task")
    if planner not in PLANNERS.names() or task not in GROUPS["task"].names():
        yield False
        return
    try:
        store = ConfigStore.instance()
        changes = planner_changes(planner, _task(config, planner, task))
        nodes = {
            "planner": (
                planner,
                preset_node("planner", planner, changes),
            ),
            "task": (task, schema(task_for(task, planner))),
        }
    except UserError:  # a wrong value, which is told once all is composed
        yield False
        return
    for group, (name, node) in nodes.items():
        store.store(group=group, name=name, node=node)
    try:
        yield True
    finally:
        for group, (name, _) in nodes.items():
            store.store(group=group, name=name, node=schema(preset(group, name)))


def _task(config: DictConfig, planner: str, task: str) -> TaskConfig:
    """The task with the user's overrides, which are what differs from the option."""
    given, usual = instance(config.task), preset("task", task)
    changes: dict[str, Any] = {
        name: getattr(given, name)
        for name in usual.__dataclass_fields__
        if getattr(given, name) != getattr(usual, name)
    }
    settings: TaskConfig = preset("task", task, **changes)
    return settings


def decided_by(message: str, config: DictConfig) -> str:
    """A message about a planner's setting, with the task's that it follows, if it does."""
    for name, own in DECIDED.items():
        value = OmegaConf.select(config, f"task.{own}")
        if f"planner.{name} " in message and f"got {value}" in message:
            return f"{message} (task.{own}={value})"
    return message
