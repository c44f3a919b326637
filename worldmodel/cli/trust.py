"""What a configuration may make run: launchers and sweepers that are installed, nothing else.

Hydra calls what ``_target_`` names under ``hydra.callbacks``, Python's logging what ``()`` and
``class`` name, and a worker what its ``PYTHONPATH`` holds. A configuration may come from somebody
else, so none of it is followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.plugin import Plugin
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from worldmodel.errors import UserError

__all__ = ["refuse_targets"]

_Path = tuple[str, ...]

_PLUGINS: Mapping[_Path, type[Plugin]] = {
    ("hydra", "launcher"): Launcher,
    ("hydra", "sweeper"): Sweeper,
}
_LOGGING = (("hydra", "job_logging"), ("hydra", "hydra_logging"))
_CLASSES = (
    "logging.StreamHandler",
    "logging.FileHandler",
    "logging.NullHandler",
    "logging.Formatter",
    "logging.handlers.RotatingFileHandler",
)
_FACTORIES = ("colorlog.ColoredFormatter",)  # of hydra-colorlog
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES"),
    *("MUJOCO_GL", "MUJOCO_EGL_DEVICE_ID", "HF_HOME", "HF_HUB_OFFLINE"),
)
"""Of a job's environment; others, such as PYTHONPATH, make worker processes run code."""


class _Unknown:
    """A value that interpolation does not give yet."""


def refuse_targets(config: DictConfig) -> None:
    """Raise a UserError if Hydra or logging would call what a composed configuration names."""
    try:
        for path, value in _below(config, ()):
            if not _is_harmless(path, value):
                shown = "" if isinstance(value, _Unknown | DictConfig) else f"={value}"
                raise UserError(
                    f"{'.'.join(path)}{shown}: a configuration runs nothing but launchers and "
                    "sweepers that are installed as Hydra plug-ins; leave it out"
                )
    except RecursionError as error:
        raise UserError("the configuration is nested without end; look for ${…} in it") from error


def _is_harmless(path: _Path, value: Any) -> bool:
    key, place = path[-1], path[:2]
    if key == "_target_":
        return place in _PLUGINS and value in _offered(place, nested=len(path) > 3)
    if key.lstrip("+~") == "plugins" and place in _PLUGINS:  # a word of every job would import it
        return False
    if key == "custom_search_space" and place in _PLUGINS:  # Optuna's sweeper calls it
        return value is None
    if place == ("hydra", "callbacks"):
        return len(path) == 2
    if path[:3] == ("hydra", "job", "env_set"):
        return len(path) == 3 or key in _VARIABLES
    if place in _LOGGING:
        if isinstance(value, _Unknown):
            return key == "filename"
        if key == "()":
            return value in _FACTORIES
        if key == "class":
            return value in _CLASSES
        return not _is_reference(value) or value in _STREAMS
    return True


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("ext://", "cfg://"))


def _offered(place: _Path, *, nested: bool) -> set[str]:
    """Names of the plug-ins of a kind, or of what they themselves offer to be made for them."""
    if nested:
        group: Any = ConfigStore.instance().repo
        for name in place:
            group = group.get(name, {})
        return set(_targets(group))
    found = Plugins.instance().discover(_PLUGINS[place])
    return {f"{plugin.__module__}.{plugin.__name__}" for plugin in found}


def _targets(group: Any) -> Iterator[str]:
    """Every ``_target_`` of the configurations that installed packages have registered."""
    if isinstance(group, Mapping):
        for entry in group.values():
            yield from _targets(entry)
    else:
        for path, value in _below(group.node, ()):
            if path[-1] == "_target_" and isinstance(value, str):
                yield value


def _below(node: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    """Every path below a node with its value, interpolations followed."""
    if not isinstance(node, DictConfig | ListConfig) or node._is_none() or node._is_missing():
        return
    keys: Any = node if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        try:
            value = node[key]
        except OmegaConfBaseException:
            value = _Unknown()
        yield (*path, str(key)), value
        yield from _below(value, (*path, str(key)))
