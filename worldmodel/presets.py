"""Settings by name: what ``group=name`` of the command line stands for, in Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import resources
from typing import Any

import pydantic
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from worldmodel.errors import SettingsError
from worldmodel.registry import GROUPS
from worldmodel.settings import described

__all__ = ["instance", "preset", "schema"]


def preset(group: str, name: str, changes: Mapping[str, Any] | None = None) -> Any:
    """The settings of an option, such as ``preset("encoder", "vitl")``.

    Args:
        group: A configuration group: ``planner``, ``task``, ``predictor``, ``training``,
            ``encoder``.
        name: One of its options.
        changes: Other values than the option's, by name; nested ones as mappings.

    Returns:
        A frozen dataclass.

    Raises:
        UserError: There is no such group or option.
        SettingsError: A change names no setting, or is not within its bounds.
    """
    part = GROUPS[group].find(name)
    if part.config is None:
        raise SettingsError(f"{group}={name} has no settings; leave them out")
    file = resources.files("worldmodel.configs") / group / f"{name}.yaml"
    try:
        stored = OmegaConf.create(file.read_text("utf-8")) if file.is_file() else OmegaConf.create()
        assert isinstance(stored, DictConfig)
        stored.pop("defaults", None)
        node = OmegaConf.merge(schema(part.config), stored, dict(changes or {}))
    except OmegaConfBaseException as error:
        told = str(error).splitlines()[0]
        raise SettingsError(f"{group}={name}: {error.full_key}: {told}") from error
    return instance(node)


def schema(kind: Any) -> DictConfig:
    """A dataclass, or an instance of one, as a node that overrides may write to.

    A frozen dataclass would make it read-only.
    """
    node = OmegaConf.structured(kind)
    assert isinstance(node, DictConfig)
    _thaw(node)
    return node


def instance(node: Any, key: str = "") -> Any:
    """What a node describes: its own nodes are made first, and the key of a wrong value is known.

    ``OmegaConf.to_object`` does the same and forgets the key.

    Args:
        node: Of a configuration; lists come out as tuples.
        key: Where it stands in a larger one.

    Raises:
        SettingsError: A value is out of its bounds.
    """
    if isinstance(node, ListConfig):
        return tuple(instance(entry) for entry in node)
    if not isinstance(node, DictConfig):
        return node
    fields = {name: instance(node[name], f"{key}.{name}".strip(".")) for name in map(str, node)}
    kind = OmegaConf.get_type(node)
    if not dataclasses.is_dataclass(kind):
        return fields
    try:
        return kind(**fields)
    except pydantic.ValidationError as error:
        raise SettingsError(described(error, key) + _hint(error)) from error


def _hint(error: pydantic.ValidationError) -> str:
    unexpected = error.errors()[0]["type"] == "unexpected_keyword_argument"
    return "; use key=value without + for the keys that exist" if unexpected else ""


def _thaw(node: DictConfig) -> None:
    OmegaConf.set_readonly(node, None)
    for key in map(str, node):
        if not OmegaConf.is_missing(node, key) and isinstance(node[key], DictConfig):
            _thaw(node[key])
