"""How Hydra composes a command's configuration, single runs and the jobs of sweeps alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.core.utils import setup_globals
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException, ValidationError

from worldmodel.cli.listing import COMMANDS, PATHS
from worldmodel.cli.options import RENAMED, decided, experiments, register_options
from worldmodel.cli.trust import refuse_targets
from worldmodel.cli.words import readable
from worldmodel.errors import UserError, nearest
from worldmodel.registry import GROUPS, load_plugins

__all__ = ["Loader", "expanded", "loader"]

_SEARCH_PATH = "hydra.searchpath"
_HYDRA_PATHS = ("hydra.run.dir", "hydra.sweep.dir")
_PLUGINS = {  # what the name of an option begins with, and what pip installs for it
    "submitit": "hydra-submitit-launcher",
    "ray": "hydra-ray-launcher",
    "joblib": "hydra-joblib-launcher",
    "rq": "hydra-rq-launcher",
    "optuna": "hydra-optuna-sweeper",
    "nevergrad": "hydra-nevergrad-sweeper",
    "ax": "hydra-ax-sweeper",
}


class Loader(ConfigLoaderImpl):
    """Hydra's loader, which every composition goes through, that of a sweep's job in a worker too.

    It reads words as people type them, expands ``~`` in paths, and refuses what would make a
    configuration run code.
    """

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """As Hydra's.

        Raises:
            UserError: A word cannot be read, names an option that is not there, is a sweep where
                none is meant, leaves a path empty, or would have code run.
        """
        words = _for_environment(_without_plugins([readable(word) for word in overrides]))
        if validate_sweep_overrides:
            _refuse_words(OverridesParser.create().parse_overrides(words), run_mode)
        arguments = (run_mode, from_shell, validate_sweep_overrides)
        while True:
            try:
                config = super().load_configuration(config_name, words, *arguments)
                break
            except MissingConfigException as error:
                raise self._missing(error) from error
            except HydraException as error:
                if (listed := _listed(words, error.__cause__)) == words:
                    raise
                words = listed
            except UserError:
                raise
            except Exception as error:  # what foreign YAML brings out: of its syntax, of OmegaConf
                told = " ".join(str(error).split()) or type(error).__name__
                raise UserError(f"the configuration cannot be composed: {told}") from error
        refuse_targets(config)
        with decided(config) as anew:
            if anew:
                config = super().load_configuration(config_name, words, *arguments)
        with read_write(config), open_dict(config):
            _expand(config)
        return config

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        """As Hydra's, without the schemas that options begin with."""
        names = super().get_group_options(group_name, results_filter, config_name, overrides)
        return [name for name in names if not name.endswith("_schema") and name[0] != "_"]

    def _missing(self, error: MissingConfigException) -> UserError:
        """The option that is not there, with those that are, or with the package that brings it."""
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        there = self.get_group_options(group)
        if now := RENAMED.get(f"{group}={option}"):
            return UserError(f"'{group}={option}' is now '{now}'")
        others = [name for name in COMMANDS if option in experiments(name)]
        if group == "experiment" and others:
            return UserError(f"experiment '{option}' is one of `worldmodel {others[0]}`")
        if group == "experiment" and not there:
            return UserError(f"unknown experiment '{option}'; this command has none")
        if group not in ("hydra/launcher", "hydra/sweeper"):
            return UserError(f"unknown {group or 'config'} '{option}'; {nearest(option, there)}")
        package = next((p for name, p in _PLUGINS.items() if option.startswith(name)), None)
        remedy = f"pip install {package}" if package else "install the plug-in that brings it"
        return UserError(f"{group}={option} is not installed: {remedy}; here: {', '.join(there)}")

    def _process_config_searchpath(
        self,
        config_name: str | None,
        parsed_overrides: list[Override],
        repo: CachingConfigRepository,
    ) -> None:
        # An entry of a search path may begin with pkg://, and then a package is imported.
        primary = repo.load_config(config_name) if config_name is not None else None
        given = any(override.key_or_group == _SEARCH_PATH for override in parsed_overrides)
        if given or (primary and OmegaConf.select(primary.config, _SEARCH_PATH) is not None):
            raise UserError(f"{_SEARCH_PATH}: give a folder of YAML with --config-dir DIR instead")


def _for_environment(words: list[str]) -> list[str]:
    """The overrides; an environment without a task is pursued as any is."""
    keys = {word.partition("=")[0].lstrip("+") for word in words}
    return [*words, "task=goal_image"] if "env" in keys and "task" not in keys else words


def loader(config_dir: str | None = None) -> Loader:
    """A loader of the shipped configurations, and of those in a folder of the user's.

    Raises:
        UserError: There is no such folder.
    """
    version.setbase("1.3")
    setup_globals()  # resolvers such as ${now:…}
    search_path = create_config_search_path(None)  # the shipped ones are in the ConfigStore
    if config_dir is not None:
        folder = Path(expanded("--config-dir", config_dir)).absolute()
        if not folder.is_dir():
            raise UserError(f"--config-dir {config_dir}: no such folder; give one with YAML in it")
        schema = SearchPathQuery(provider="schema")
        search_path.prepend(provider="command-line", path=f"file://{folder}", anchor=schema)
    return Loader(search_path)


def expanded(key: str, path: str) -> str:
    """A path with ``~`` or ``~user`` at its beginning replaced.

    Raises:
        UserError: It is empty, or nobody knows the user's home.
    """
    if not path.strip():
        raise UserError(f"{key}= is empty; give a path")
    full = os.path.expanduser(path)
    if path.startswith("~") and full == path:
        raise UserError(f"{key}={path}: no home folder is known for it; write the path in full")
    return full


def _expand(node: DictConfig, prefix: str = "") -> None:
    """Expand every path below a node; what cannot be read now is left, to be told of later."""
    for key in map(str, node):
        try:
            value: Any = node[key]
        except OmegaConfBaseException:
            continue
        if isinstance(value, DictConfig):
            if not OmegaConf.is_interpolation(node, key):
                _expand(value, f"{prefix}{key}.")
        elif key in PATHS or f"{prefix}{key}" in _HYDRA_PATHS:
            if isinstance(value, ListConfig):
                node[key] = [expanded(f"{prefix}{key}", str(path)) for path in value]
            elif isinstance(value, str) and (full := expanded(f"{prefix}{key}", value)) != value:
                node[key] = full


def _refuse_words(overrides: list[Override], run_mode: RunMode) -> None:
    for override in overrides:
        word, key = override.input_line, override.key_or_group
        if override.is_delete() and not key.startswith("hydra"):
            raise UserError(f"{word}: no key of a command can be left out; give {key}=… a value")
        if not override.is_sweep_override():
            continue
        value = (word or "").partition("=")[2]
        if value.endswith((",", ",''")):
            raise UserError(f"the value of {key} ends with a comma; leave it out")
        if run_mode == RunMode.MULTIRUN:
            if key == "out":
                raise UserError(
                    f"{word}: out cannot be swept; give one folder, in which every job of a sweep "
                    "has its own: out/0, out/1, …"
                )
        elif override.value_type != ValueType.SIMPLE_CHOICE_SWEEP:
            raise UserError(f"{word} is a sweep: add -m to run every value")
        elif key in GROUPS:
            raise UserError(f"{word} names several: add -m to run each of them")
        else:
            raise UserError(
                f"{word} holds several values: add -m to run each of them, or write "
                f"{key}=[{value}] for a list, or \"{key}='{value}'\" for one value with a comma"
            )


def _listed(words: list[str], cause: BaseException | None) -> list[str]:
    """The words, with ``key=[value]`` for ``key=value`` where a list was expected."""
    if not isinstance(cause, ValidationError) or cause.object_type is None:
        return words
    key = str(cause.full_key)
    try:
        wanted = get_type_hints(cause.object_type).get(key.rpartition(".")[2])
    except (NameError, TypeError):
        return words
    kinds = {get_origin(part) for part in (wanted, *get_args(wanted))}  # it may be optional
    if not kinds & {tuple, list} or f"{key}=null" in words:
        return words
    return [
        f"{start}=[{value}]" if start.lstrip("+") == key and value[:1] != "[" else word
        for word in words
        for start, _, value in [word.partition("=")]
    ]


def _without_plugins(words: list[str]) -> list[str]:
    """The other words, once the modules that ``plugins=[…]`` names have registered their parts."""
    named = [word.partition("=")[2] for word in words if word.startswith("plugins=")]
    if named:
        load_plugins(name.strip(" '\"") for names in named for name in names.strip("[]").split(","))
        register_options()
    return [word for word in words if not word.startswith("plugins=")]
