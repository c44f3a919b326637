"""Settings by name: what ``group=name`` of the command line stands for, in Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from importlib import resources
from typing import Annotated, Any

import pydantic
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from pydantic import BeforeValidator

from worldmodel.errors import SettingsError, nearest
from worldmodel.registry import GROUPS
from worldmodel.settings import described

__all__ = [
    "EncoderOption",
    "PlannerOption",
    "PredictorOption",
    "TaskOption",
    "TrainingOption",
    "instance",
    "preset",
    "preset_node",
    "schema",
]


def preset(group: str, name: str, /, **changes: Any) -> Any:
    """The settings of an option, such as ``preset("planner", "icem", samples=96)``.

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
    return instance(preset_node(group, name, changes))


def preset_node(group: str, name: str, changes: Mapping[str, Any]) -> DictConfig:
    """As `preset`, as a node that overrides may write to; bounds are not checked yet."""
    if group not in GROUPS:
        raise SettingsError(f"unknown group '{group}'; {nearest(group, GROUPS)}")
    part = GROUPS[group].find(name)
    if part.config is None:
        raise SettingsError(f"{group}={name} has no settings; leave them out")
    file = resources.files("worldmodel.configs") / group / f"{name}.yaml"
    try:
        stored = OmegaConf.create(file.read_text("utf-8")) if file.is_file() else OmegaConf.create()
        assert isinstance(stored, DictConfig)
        node = OmegaConf.merge(schema(part.usual or part.config), stored, dict(changes))
    except (ConfigAttributeError, ConfigKeyError) as error:
        known = [f.name for f in dataclasses.fields(error.object_type or part.config)]
        near = nearest(str(error.full_key).rpartition(".")[2], known)
        raise SettingsError(f"{group}={name}: unknown key '{error.full_key}'; {near}") from error
    except OmegaConfBaseException as error:
        told = str(error).splitlines()[0]
        raise SettingsError(f"{group}={name}: {error.full_key}: {told}") from error
    assert isinstance(node, DictConfig)
    return node


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
    if OmegaConf.get_type(node) is dict:  # takes any key, even where the rest takes known ones only
        OmegaConf.set_struct(node, False)
    for key in map(str, node):
        if not OmegaConf.is_missing(node, key) and isinstance(node[key], DictConfig):
            _thaw(node[key])


def _option(group: str, value: Any) -> Any:
    """The settings of an option that is given by its name."""
    named = isinstance(value, str) and value != MISSING
    return preset(group, value) if named else value


EncoderOption = Annotated[Any, BeforeValidator(partial(_option, "encoder"))]
PlannerOption = Annotated[Any, BeforeValidator(partial(_option, "planner"))]
PredictorOption = Annotated[Any, BeforeValidator(partial(_option, "predictor"))]
TaskOption = Annotated[Any, BeforeValidator(partial(_option, "task"))]
TrainingOption = Annotated[Any, BeforeValidator(partial(_option, "training"))]
"""Settings of a group, or the name of an option of it."""
