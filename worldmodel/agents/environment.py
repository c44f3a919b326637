"""Environments by name, and the contract that planning and judging need of them.

Any `gymnasium.Env` will do whose actions are a ``Box`` and whose observations are a ``Dict`` of
``image`` (``uint8 [h, w, 3]``), ``goal`` (likewise) and, if the robot has proprioception,
``state``. ``info`` may hold ``success`` and ``distance`` for the judge, and ``subgoals``.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from worldmodel.agents.planner import Bounds
from worldmodel.envs import TASKS, make
from worldmodel.errors import EnvironmentContractError, UserError, nearest
from worldmodel.registry import ENVIRONMENTS

__all__ = ["Contract", "Environment", "contract", "make_env"]

Environment = gymnasium.Env[dict[str, Any], Any]


class Contract(NamedTuple):
    """What an environment offers.

    Attributes:
        bounds: Of its actions.
        image_size: Side of its square images, pixels.
        state_width: P; 0 without proprioception.
    """

    bounds: Bounds
    image_size: int
    state_width: int

    @property
    def action_width(self) -> int:
        """A."""
        return len(self.bounds.low)


def make_env(
    name: str,
    *,
    image_size: int = 96,
    appearance: str = "plain",
    split: str = "test",
    render_mode: str | None = None,
) -> Environment:
    """An environment by its name.

    Args:
        name: A task of the built-in arm (``reach``, ``push``, ``grasp``, ``reach_with_object``,
            ``pick_and_place``), a registered environment, ``module:function``, or an id of
            gymnasium such as ``tabletop/Push-v0``.
        image_size: Side of the square camera images, pixels; the world's, to plan in it.
        appearance: Of the built-in arm: ``plain``, or ``rich`` for another one in every episode.
        split: Of rich appearances: ``test``, or those that data for ``train`` are made of.
        render_mode: As in gymnasium.

    Raises:
        UserError: There is no such environment, or it does not take one of the arguments.
    """
    if not isinstance(name, str):
        raise UserError(f"Expected an environment's name, got {name!r:.60}")
    try:
        if name in TASKS:
            built_in: Any = make(name, image_size, appearance, split, render_mode=render_mode)
            return built_in
        if (appearance, split) != ("plain", "test"):
            raise UserError(f"{name} has no appearance or split; they are of the built-in arm")
        if name in ENVIRONMENTS.names():
            made: Environment = ENVIRONMENTS.find(name).make(image_size=image_size)
        elif ":" in name and "/" not in name:
            made = _function(name)(image_size=image_size)
        elif "/" in name or "-v" in name:
            made = gymnasium.make(name, render_mode=render_mode)
        else:
            known = (*TASKS, *ENVIRONMENTS.names())
            raise UserError(f"unknown environment '{name}'; {nearest(name, known)}")
    except UserError:
        raise
    except (TypeError, ValueError, ImportError, AttributeError, gymnasium.error.Error) as error:
        raise UserError(f"environment '{name}' cannot be made: {error}") from error
    contract(made)
    return made


def contract(env: Environment) -> Contract:
    """What an environment offers.

    Raises:
        EnvironmentContractError: Something is missing that planning needs.
    """
    if not hasattr(env, "action_space") or not hasattr(env, "observation_space"):
        raise EnvironmentContractError(
            f"Expected an environment of gymnasium, such as make_env('push') gives, got {env!r:.60}"
        )
    actions, seen = env.action_space, env.observation_space
    if not isinstance(actions, spaces.Box) or len(actions.shape) != 1:
        raise EnvironmentContractError(
            f"Expected actions in a Box of one axis, got {actions}; wrap the environment"
        )
    if not np.isfinite([actions.low, actions.high]).all():
        raise EnvironmentContractError(
            "Expected bounded actions, got infinite bounds; wrap the environment in "
            "gymnasium.wrappers.RescaleAction or ClipAction"
        )
    keys = list(seen.spaces) if isinstance(seen, spaces.Dict) else []
    if missing := [key for key in ("image", "goal") if key not in keys]:
        raise EnvironmentContractError(
            f"Expected observations with {' and '.join(missing)}, got {keys or seen}; wrap the "
            "environment so that it shows images, and a goal image of how things should be"
        )
    assert isinstance(seen, spaces.Dict)
    shape = seen["image"].shape or ()
    if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3 or seen["image"].dtype != np.uint8:
        raise EnvironmentContractError(
            f"Expected square RGB images uint8 [h,w,3], got {seen['image']}; crop and resize them"
        )
    state = seen.spaces.get("state")
    return Contract(
        Bounds(
            torch.from_numpy(actions.low.astype(np.float32)),
            torch.from_numpy(actions.high.astype(np.float32)),
        ),
        shape[0],
        0 if state is None else int(np.prod(state.shape or (0,))),
    )


def _function(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
