"""Environments by name, and the contract that planning and judging need of them.

Any `gymnasium.Env` will do whose actions are a bounded ``Box`` and whose observations are a
``Dict``: ``image`` (``uint8 [h, w, 3]``, or one entry a camera), ``goal`` (likewise, or a ``Dict``
of one each) and, if the robot has proprioception, ``state``. ``info`` may hold ``success`` and
``distance`` for the judge, and ``subgoals``. What actions and states mean stands in ``metadata``
(`worldmodel.spec`).
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import gymnasium
import numpy as np
from gymnasium import spaces
from pydantic import ValidationError

from worldmodel import envs
from worldmodel.envs.action_repeat import ActionRepeat
from worldmodel.errors import EnvironmentContractError, SettingsError, UserError, nearest
from worldmodel.registry import ENVIRONMENTS
from worldmodel.settings import described
from worldmodel.spec import ActionSpec, CameraSpec, Spec, SpecChanges, StateSpec, usual_rest

__all__ = ["Environment", "capable", "contract", "make_env"]

Environment = gymnasium.Env[dict[str, Any], Any]

CapabilityT = TypeVar("CapabilityT")

_NO_CAMERAS = ("state", "goal")
_USUAL_SIZE = 96  # pixels, of images where a user's function wants to be told, and nobody does


def make_env(
    name: str,
    *,
    image_size: int | None = None,
    repeat: int | None = None,
    chunked: bool = False,
    appearance: str = "plain",
    split: str = "test",
    render_mode: str | None = None,
) -> Environment:
    """An environment by its name.

    Args:
        name: A task of the built-in arm (``reach``, ``push``, ``grasp``, ``reach_with_object``,
            ``pick_and_place``), a suite (``two_room``, ``ogbench:cube-single``), a registered
            environment, ``module:function``, or an id of gymnasium such as ``tabletop/Push-v0``.
        image_size: Side of the square camera images, pixels, where the environment takes one; None
            for its own.
        repeat: Steps of the simulation for which an action is held, a multiple of what
            ``metadata["repeat"]`` says; None for that.
        chunked: Take a chunk instead, an action for each of these steps.
        appearance: Of the built-in arm: ``plain``, or ``rich`` for another one in every episode.
        split: Of rich appearances: ``test``, or those that data for ``train`` are made of.
        render_mode: As in gymnasium.

    Raises:
        UserError: There is no such environment, or it does not take one of the arguments.
    """
    if not isinstance(name, str):
        raise UserError(f"Expected an environment's name, got {name!r:.60}")
    if repeat is not None and repeat < 1:
        raise SettingsError(f"Expected repeat of at least 1, got {repeat}")
    sized = {} if image_size is None else {"image_size": image_size}
    try:
        made = _made(name, sized, appearance, split, render_mode)
    except UserError:
        raise
    except Exception as error:  # a user's function raises what it likes
        told = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"environment '{name}' cannot be made: {told}") from error
    spec = contract(made)
    if repeat in (None, spec.repeat) and chunked <= spec.chunked:
        return made
    if (chunked or spec.chunked) and spec.repeat > 1:
        manner = "takes chunks" if spec.chunked else "holds an action"
        raise SettingsError(
            f"Expected {name} as it is, which {manner} of {spec.repeat} steps itself, got repeat="
            f"{repeat} chunked={str(chunked).lower()}; leave both out"
        )
    if chunked and repeat in (None, 1):
        raise SettingsError(
            f"Expected repeat of 2 or more with chunked=true, got {repeat}; give repeat=5"
        )
    assert repeat is not None
    if repeat % spec.repeat:
        raise SettingsError(
            f"Expected repeat of a multiple of {spec.repeat}, for which {name} holds an action "
            f"itself, got {repeat}"
        )
    return ActionRepeat(made, repeat // spec.repeat, chunked)


def _made(
    name: str, sized: dict[str, int], appearance: str, split: str, render_mode: str | None
) -> Environment:
    if name in envs.TASKS:
        built_in: Any = envs.make(
            name, appearance=appearance, split=split, render_mode=render_mode, **sized
        )
        return built_in
    if (appearance, split) != ("plain", "test"):
        raise UserError(f"{name} has no appearance or split; they are of the built-in arm")
    suite = name.partition(":")[0]
    if suite in envs.SUITES:
        foreign: Any = envs.make_from_suite(name, render_mode=render_mode, **sized)
        return foreign
    if name in ENVIRONMENTS.names():
        return _users(ENVIRONMENTS.find(name).make, sized)
    if ":" in name and "/" not in name:
        module, _, function = name.partition(":")
        return _users(getattr(importlib.import_module(module), function), sized)
    if "/" in name or "-v" in name:
        return gymnasium.make(name, render_mode=render_mode)
    known = (*envs.TASKS, *envs.SUITES, *ENVIRONMENTS.names())
    raise UserError(f"unknown environment '{name}'; {nearest(name, known)}")


def _users(function: Any, sized: dict[str, int]) -> Environment:
    """What a user's function makes; it need not take an image size, but may insist on one."""
    taken = inspect.signature(function).parameters
    any_key = any(key.kind is key.VAR_KEYWORD for key in taken.values())
    size = taken.get("image_size")
    if size is not None and size.default is size.empty:
        sized = {"image_size": _USUAL_SIZE} | sized
    made: Environment = function(**(sized if any_key or size is not None else {}))
    return made


def contract(env: Environment, changes: SpecChanges | None = None) -> Spec:
    """What an environment offers.

    Args:
        env: The environment.
        changes: What the user states.

    Raises:
        EnvironmentContractError: Something is missing that planning needs.
        UserError: What the user states does not fit the environment.
    """
    changes = changes or SpecChanges()
    if not hasattr(env, "action_space") or not hasattr(env, "observation_space"):
        raise EnvironmentContractError(
            f"Expected an environment of gymnasium, such as make_env('push') gives, got {env!r:.60}"
        )
    told: Mapping[str, Any] = getattr(env, "metadata", None) or {}
    states: Mapping[str, Any] = told.get("states", {})
    cameras = _cameras(env.observation_space)
    width = _state_width(env.observation_space)
    try:
        spec = Spec(
            _actions(env.action_space, told.get("actions", {}), changes.action_kind),
            StateSpec(
                tuple(states.get("names", [f"state_{place}" for place in range(width)])),
                states.get("kind", "generic"),
                tuple(states.get("periodic", ())),
                tuple(states.get("half_turn", ())),
                tuple(states["hidden"]) if "hidden" in states else None,
            ),
            cameras,
            told.get("render_fps"),
            told.get("repeat", 1),
            told.get("distance_unit", ""),
            chunked=told.get("chunked", False),
        )
    except ValidationError as error:
        raise EnvironmentContractError(
            f"metadata of {type(env.unwrapped).__name__}: {described(error)}"
        ) from error
    return spec.changed(changes)


def _actions(
    space: spaces.Space[Any], told: Mapping[str, Any], stated_kind: str | None
) -> ActionSpec:
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise EnvironmentContractError(
            f"Expected actions in a Box of one axis, got {space}; wrap the environment"
        )
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    if not np.isfinite([low, high]).all():
        raise EnvironmentContractError(
            "Expected bounded actions, got infinite bounds; wrap the environment in "
            "gymnasium.wrappers.RescaleAction or ClipAction"
        )
    kind = told.get("kind", "generic")
    usual = usual_rest(low, high, (low + high) / 2, stated_kind or kind)
    return ActionSpec(
        tuple(told.get("names", [f"action_{place}" for place in range(len(low))])),
        tuple(low.tolist()),
        tuple(high.tolist()),
        tuple(float(x) for x in told.get("rest", usual)),
        kind,
    )


def _cameras(seen: spaces.Space[Any]) -> tuple[CameraSpec, ...]:
    """The cameras of an observation, its goal included.

    Raises:
        EnvironmentContractError: There is none, or no goal image of each.
    """
    entries = dict(seen.spaces) if isinstance(seen, spaces.Dict) else {}
    found = {name: s for name, s in entries.items() if name not in _NO_CAMERAS and _pictures(s)}
    missing = [] if found else ["image"]
    if missing := missing + ([] if "goal" in entries else ["goal"]):
        raise EnvironmentContractError(
            f"Expected observations with {' and '.join(missing)}, got {list(entries) or seen}; "
            "wrap the environment so that it shows images (uint8 [h,w,3]), and a goal image of how "
            "things should be"
        )
    goal = entries["goal"]
    goals = dict(goal.spaces) if isinstance(goal, spaces.Dict) else {next(iter(found)): goal}
    for name, space in found.items():
        shown = goals.get(name)
        if shown is None or not _pictures(shown) or shown.shape != space.shape:
            raise EnvironmentContractError(
                f"Expected a goal image of camera '{name}' like its own, uint8 "
                f"{list(space.shape or ())}, got {shown}; with several cameras the goal is a Dict "
                "of one image each"
            )
    return tuple(
        CameraSpec("front" if name == "image" else name, *(space.shape or ())[:2])
        for name, space in found.items()
    )


def _pictures(space: spaces.Space[Any]) -> bool:
    """Whether a space is of RGB images; a picture of another type is refused.

    Raises:
        EnvironmentContractError: It is of images in floating point.
    """
    shape = space.shape or ()
    if len(shape) != 3 or shape[2] != 3:
        return False
    if space.dtype != np.uint8:
        raise EnvironmentContractError(
            f"Expected images as uint8 [h,w,3] in 0 to 255, got {space.dtype} {list(shape)}; "
            "convert them in a wrapper"
        )
    return True


def _state_width(seen: spaces.Space[Any]) -> int:
    state = seen.spaces.get("state") if isinstance(seen, spaces.Dict) else None
    return 0 if state is None else int(np.prod(state.shape or (0,)))


def capable(env: Environment, kind: type[CapabilityT], wanted_for: str) -> CapabilityT:
    """The environment beneath its wrappers, as one that has a capability.

    Args:
        env: The environment.
        kind: A protocol of `worldmodel.envs.protocol`.
        wanted_for: What asks for it, for the error.

    Raises:
        EnvironmentContractError: It has not; the error names what is missing.
    """
    inner = env.unwrapped
    if isinstance(inner, kind):
        return inner
    members = sorted(getattr(kind, "__protocol_attrs__", ())) or [
        name for name in vars(kind) if not name.startswith("_")
    ]
    missing = [name for name in members if not hasattr(inner, name)]
    raise EnvironmentContractError(
        f"{wanted_for} needs an environment with {', '.join(f'{name}()' for name in missing)} "
        f"(worldmodel.envs.protocol.{kind.__name__}), got {type(inner).__name__} without"
    )
