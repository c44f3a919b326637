"""Parts that can be swapped, by name: built in, registered in user code, or brought by a package.

A name is registered in one place, with the dataclass of its settings:

    @wm.register_planner("mine", MineConfig)
    class Mine: ...

``plugins=[my_robot.planners]`` imports that module in any command. An installed package names the
module in an entry point of the group ``worldmodel.planners``, ``worldmodel.envs`` and so on.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from importlib.metadata import entry_points
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from worldmodel.errors import PluginError, RegistrationError, UserError, nearest

__all__ = [
    "ENCODERS",
    "ENVIRONMENTS",
    "GOAL_ENERGIES",
    "GROUPS",
    "OBJECTIVES",
    "PLANNERS",
    "PREDICTORS",
    "TASKS",
    "UNCERTAINTIES",
    "Part",
    "Registry",
    "load_plugins",
    "user_function",
]

T = TypeVar("T")

_RENAMED = {("planner", "grasp"): "collocation", ("predictor", "compact"): "vector"}
"""New names of options of release 0.1, by kind and old name."""


@dataclass(frozen=True)
class Part:
    """What a name stands for.

    Attributes:
        make: Makes the part of its settings; see the registering function for its arguments.
        config: Dataclass of its settings; None where there are none.
        usual: Settings that the name stands for, if they are not the dataclass' defaults.
    """

    make: Callable[..., Any]
    config: type[Any] | None = None
    usual: Any = None


class Registry:
    """The parts of one kind.

    Args:
        kind: What they are called in messages.
        builtin: ``module:attribute`` of the part and of its settings, by name; imported when asked.
        group: Of the entry points that other packages bring more with; None where they cannot.
    """

    def __init__(
        self, kind: str, builtin: Mapping[str, tuple[str, str | None]], group: str | None = None
    ) -> None:
        self.kind, self.group = kind, group
        self._builtin = dict(builtin)
        self._parts: dict[str, Part] = {}
        self._searched = False

    def register(
        self, name: str, config: type[Any] | None = None, usual: Any = None
    ) -> Callable[[T], T]:
        """A decorator that registers a class or a function under a name; see `Part`.

        Raises:
            RegistrationError: The name is taken, is no word, or the settings are no dataclass.
        """
        self.check_name(name)
        if config is not None and not is_dataclass(config):
            raise RegistrationError(
                f"Expected a dataclass for the settings of {self.kind} '{name}', got {config!r}"
            )

        def decorate(part: T) -> T:
            if not callable(part):
                raise RegistrationError(
                    f"Expected a class or a function for {self.kind} '{name}', got {part!r:.60}"
                )
            known = self._parts.get(name)
            if name in self._builtin or (known is not None and not _same(known.make, part)):
                raise RegistrationError(
                    f"The {self.kind} '{name}' is registered already; choose another name"
                )
            self._parts[name] = Part(part, config, usual)
            return part

        return decorate

    def check_name(self, name: object) -> None:
        """Raise a RegistrationError where that is no name."""
        if not isinstance(name, str) or not name.isidentifier():
            raise RegistrationError(
                f"Expected a {self.kind}'s name of letters, digits and _, got {name!r:.60}; "
                'write @register_…("name")'
            )

    @property
    def builtin(self) -> tuple[str, ...]:
        """Names of the parts that the package brings itself."""
        return tuple(self._builtin)

    def check(self, name: str) -> str:
        """The name, if it is one; what a setting is validated with.

        Raises:
            PydanticCustomError: It is not.
        """
        if name not in self.names():
            known = self.names()
            context = {"known": known, "listed": ", ".join(known)}
            raise PydanticCustomError("unknown_word", "Input should be one of {listed}", context)
        return name

    def names(self) -> tuple[str, ...]:
        """All names, built-in ones first.

        Raises:
            PluginError: The module that an installed package names cannot be imported.
        """
        if not self._searched and self.group is not None:
            self._searched = True
            for point in entry_points(group=self.group):
                _imported(point.value.partition(":")[0], f"the entry point {point.name}")
        return (*self._builtin, *(name for name in self._parts if name not in self._builtin))

    def find(self, name: str) -> Part:
        """The part of a name.

        Raises:
            UserError: There is none.
        """
        if name in self._parts:
            return self._parts[name]
        if not isinstance(name, str):
            raise UserError(f"Expected a {self.kind}'s name, got {name!r:.60}")
        if now := _RENAMED.get((self.kind, name)):
            raise UserError(f"{self.kind} '{name}' is now '{now}'")
        if name not in self.names():
            raise UserError(f"unknown {self.kind} '{name}'; {nearest(name, self.names())}")
        if name in self._builtin:
            make, config = self._builtin[name]
            kind = None if config is None else _attribute(config)
            self._parts[name] = Part(_attribute(make), kind)
        return self._parts[name]

    def named(self, config: object) -> tuple[str, Part]:
        """Name and part that settings belong to.

        Raises:
            UserError: They are not of any.
        """
        for name in self.names():
            part = self.find(name)
            if part.config is type(config):
                return name, part
        raise UserError(
            f"Expected the settings of a {self.kind} among {', '.join(self.names())}, got "
            f"{type(config).__name__}"
        )


def load_plugins(modules: Iterable[str]) -> None:
    """Import modules whose decorators register parts.

    Raises:
        PluginError: One of them is not there, or raises.
    """
    for module in modules:
        _imported(module, f"plugins=[{module}]")


def user_function(path: str, source: str) -> Any:
    """A user's function, given as ``module:function``.

    Args:
        path: Where it is.
        source: What the user gave it as, for errors.

    Raises:
        PluginError: There is none.
    """
    module, _, name = path.partition(":")
    _imported(module, source)
    found = getattr(sys.modules[module], name, None)
    if not callable(found):
        raise PluginError(f"{source}: module {module} has no function '{name}'")
    return found


def _imported(module: str, source: str) -> None:
    try:
        importlib.import_module(module)
    except UserError as error:
        raise PluginError(f"{source}: {error}") from error
    except Exception as error:  # whatever the module does when it is imported
        raise PluginError(
            f"{source}: {module} does not import ({type(error).__name__}: {error}); is its folder "
            "on PYTHONPATH, and does `python -c 'import …'` work?"
        ) from error


def _attribute(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _same(one: object, other: object) -> bool:
    """Whether these are one definition, executed twice, as when a module is imported again."""
    return _origin(one) == _origin(other)


def _origin(part: Any) -> tuple[Any, ...]:
    part = inspect.unwrap(part)
    line = getattr(getattr(part, "__code__", None), "co_firstlineno", None)
    return getattr(part, "__module__", part), getattr(part, "__qualname__", part), line


def _searches(**classes: str) -> dict[str, tuple[str, str | None]]:
    at = {name: f"worldmodel.planners.optimizers.{name}:{kind}" for name, kind in classes.items()}
    return {name: (path, f"{path}Config") for name, path in at.items()}


PLANNERS = Registry(
    "planner",
    _searches(
        cem="CEM",
        icem="ICEM",
        mppi="MPPI",
        shooting="RandomShooting",
        gradient="Gradient",
        cem_gradient="CEMGradient",
        collocation="Collocation",
        vjepa2_ac="VJEPA2AC",
    )
    | {
        name: (f"worldmodel.planners.{name}:{kind}", f"worldmodel.planners.{name}:{kind}Config")
        for name, kind in {"hierarchical": "Hierarchical", "retrieval": "Retrieval"}.items()
    },
    group="worldmodel.planners",
)
"""``make(config, low, high)`` gives a `worldmodel.planners.Planner` within the action bounds."""

ENVIRONMENTS = Registry("environment", {}, group="worldmodel.envs")
"""``make(image_size=…)`` gives a `gymnasium.Env`; built-in ones are tasks of `worldmodel.envs`."""

ENCODERS = Registry(
    "encoder",
    dict.fromkeys(
        ("small", "pixels", "vitl", "vith", "vitg", "vitg_384"),
        (
            "worldmodel.encoders.vision_transformer:VideoTransformer",
            "worldmodel.encoders.vision_transformer:EncoderConfig",
        ),
    ),
    group="worldmodel.encoders",
)
"""Sizes of the video transformer, by name."""

OBJECTIVES = Registry(
    "training",
    {
        "vjepa": (
            "worldmodel.pretraining.jepa:JepaObjective",
            "worldmodel.pretraining.jepa:JepaTraining",
        ),
        "ijepa": (
            "worldmodel.pretraining.ijepa:IjepaObjective",
            "worldmodel.pretraining.ijepa:IjepaTraining",
        ),
        "lewm": (
            "worldmodel.pretraining.lewm:LewmObjective",
            "worldmodel.pretraining.lewm:LewmTraining",
        ),
    },
)
PREDICTORS = Registry(
    "predictor",
    {
        "vector": (
            "worldmodel.predictors.vector:VectorPredictor",
            "worldmodel.dynamics.train:VectorRecipe",
        ),
        **dict.fromkeys(
            ("tokens", "vjepa2_ac"),
            (
                "worldmodel.predictors.tokens:TokenPredictor",
                "worldmodel.dynamics.train:TokensRecipe",
            ),
        ),
        **dict.fromkeys(
            ("lewm", "lewm_published"),
            (
                "worldmodel.predictors.lewm:LewmPredictor",
                "worldmodel.dynamics.end_to_end:LewmRecipe",
            ),
        ),
    },
)
TASKS = Registry(
    "task",
    {
        **dict.fromkeys(
            ("reach", "push", "grasp", "reach_with_object", "pick_and_place"),
            ("worldmodel.envs:make", "worldmodel.agents.task:TaskConfig"),
        ),
        **dict.fromkeys(
            (
                "goal_image",
                *("pusht", "cube", "reacher", "two_room"),
                *("cube_double", "scene", "fetch_push", "metaworld_reach", "metaworld_push"),
            ),
            ("worldmodel.agents.environment:make_env", "worldmodel.agents.task:GoalImageConfig"),
        ),
    },
)
GOAL_ENERGIES = Registry(
    "goal energy",
    {
        name: (f"worldmodel.agents.objective:{name}_energy", None)
        for name in ("latent", "proprio", "value", "reachability")
    },
    group="worldmodel.goal_energies",
)
"""``make(world, task)`` gives a function of goal latents ``[B, N, D]`` to a `GoalEnergy`."""

UNCERTAINTIES = Registry(
    "uncertainty term",
    dict.fromkeys(
        ("disagreement", "density", "leap", "error"),
        ("worldmodel.predictors.uncertainty:UncertaintyHeads", None),
    ),
    group="worldmodel.uncertainties",
)
"""``make()`` gives a registered term with its quantiles; built-in ones are of the world."""

GROUPS = {
    "encoder": ENCODERS,
    "training": OBJECTIVES,
    "predictor": PREDICTORS,
    "planner": PLANNERS,
    "task": TASKS,
}
"""The registries behind the configuration groups of the command line."""
