"""From ``key=value`` overrides to a typed configuration, or one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    OmegaConfBaseException,
    ValidationError,
)

from worldmodel.cli.composition import Loader, loader
from worldmodel.cli.listing import COMMANDS
from worldmodel.cli.options import decided_by, register_command, renamed
from worldmodel.cli.words import readable
from worldmodel.errors import SettingsError, UserError, nearest
from worldmodel.presets import instance
from worldmodel.registry import GROUPS

__all__ = ["assignments", "composed", "explained", "load", "options", "typed"]


def load(name: str) -> tuple[type[Any], Callable[[Any], float | None]]:
    """Import a command and register its schemas with Hydra.

    Returns:
        The config dataclass and ``run``, which takes an instance of it and returns the figure that
        a sweeper may optimise, if there is one.
    """
    config, run = COMMANDS[name].load(name)
    register_command(name, config, COMMANDS[name].groups)
    return config, run


def composed(
    command: str,
    overrides: Sequence[str],
    source: Loader | None = None,
    config_name: str | None = None,
) -> DictConfig:
    """The configuration of a command after its overrides; its schemas must be registered.

    Args:
        command: Of the command line.
        overrides: ``key=value`` and ``group=option``.
        source: Where configurations are looked for; the shipped ones by default.
        config_name: The configuration to begin with, the command's own by default.

    Raises:
        UserError: An override names an unknown key or option, or has the wrong type.
    """
    try:
        source = source or loader()
        words, name = list(overrides), config_name or command
        config = source.load_configuration(name, words, RunMode.RUN)
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error, command, overrides) from error
    with open_dict(config):
        del config["hydra"]
    return config


def typed(config: DictConfig) -> Any:
    """The dataclass instance that a composed configuration describes, lists as tuples.

    Raises:
        UserError: A mandatory value is missing, a value is out of its bounds, or an interpolation
            leads nowhere.
    """
    try:
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise UserError("missing value: " + " ".join(f"{key}=…" for key in missing))
        result = instance(config)
    except SettingsError as error:
        raise SettingsError(decided_by(str(error), config)) from error
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {_first_line(error)}") from error
    if isinstance(result, dict):
        raise UserError(
            "the configuration has no schema; begin its YAML with `defaults: [plan, _self_]`, or "
            "another command's name"
        )
    for group in GROUPS:
        if isinstance(getattr(result, group, None), dict):
            raise UserError(
                f"{group}: its YAML has no schema; begin it with `defaults: [option, _self_]`, the "
                f"option being one of {', '.join(options(group))}"
            )
    return result


def assignments(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every key of a configuration with its value, in the form in which it can be overridden."""
    for key in map(str, config):
        if OmegaConf.is_missing(config, key):
            yield f"{prefix}{key}=…  (required)"
        elif isinstance(value := config[key], DictConfig):
            yield from assignments(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={_shown(value)}"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"'{value}'" if isinstance(value, str) and "=" in value else str(value)


def options(group: str) -> list[str]:
    """The choices of a configuration group, by name."""
    return sorted(GROUPS[group].names()) if group in GROUPS else []


def explained(error: Exception, command: str, overrides: Sequence[str]) -> UserError:
    """The one line a user needs for an error of Hydra or OmegaConf."""
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        return _unknown_key(str(cause.full_key), command, overrides)
    if isinstance(cause, ValidationError):
        key = str(cause.full_key)
        got = next((o for o in overrides if o.startswith(f"{key.partition('[')[0]}=")), key)
        return UserError(f"{got}: {_first_line(cause)}")
    for override in OverridesParser.create().parse_overrides([readable(o) for o in overrides]):
        # What is left is the group of another command, or an addition to a complete configuration.
        key = override.key_or_group
        if key == "experiment" and not override.is_add():
            return UserError(f"{override.input_line}: write +{override.input_line}, with a plus")
        foreign = options(key) and key not in COMMANDS[command].groups
        if foreign or override.is_add() or override.is_delete():
            return _unknown_key(override.key_or_group, command, overrides)
    told = _first_line(error)
    if told.endswith(":"):  # the reason is below it
        told = " ".join(line.strip() for line in str(error).splitlines()[:2])
    return UserError(told)


def _unknown_key(key: str, command: str, overrides: Sequence[str]) -> UserError:
    groups = COMMANDS[command].groups
    chosen = [word for word in overrides if word.partition("=")[0] in groups]  # their keys differ
    config = loader().load_configuration(command, chosen, RunMode.RUN)
    with open_dict(config):
        hydra = config.pop("hydra")
    valid = _keys(hydra, "hydra.") if key.startswith("hydra.") else _keys(config)
    if now := renamed(key):
        return UserError(f"'{key}' is now '{now}'")
    return UserError(f"unknown key '{key}'; {nearest(key, list(valid))}")


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, node):
        yield prefix + key
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not (child._is_missing() or child._is_none()):
            yield from _keys(child, f"{prefix}{key}.")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
