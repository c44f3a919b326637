"""The form that planning needs, for environments of other packages: images, a state, a goal image.

An adapter says how to draw an episode, act, look and judge; `SuiteEnv` makes an environment of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from typing_extensions import override

__all__ = [
    "Array",
    "MissingSuiteError",
    "SuiteEnv",
    "Verdict",
    "describe",
    "suite_module",
]

Array = NDArray[np.float64]


class MissingSuiteError(ImportError):
    """A suite is not installed; the message says how to install it."""


def suite_module(name: str, install: str) -> Any:
    """The module of an optional package.

    >>> suite_module("absent.envs", "pip install 'worldmodel[absent]'")
    Traceback (most recent call last):
        ...
    worldmodel.envs.suite_env.MissingSuiteError: absent is not installed: pip install \
'worldmodel[absent]'

    Raises:
        MissingSuiteError: The package is not installed.
    """
    package = name.partition(".")[0]
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:  # it is installed, and lacks something itself
            raise
        raise MissingSuiteError(f"{package} is not installed: {install}") from None
    return import_module(name)


def describe(
    *,
    hz: int,
    kind: str,
    actions: Mapping[str, float],
    states: Sequence[str],
    distance_unit: str,
    periodic: Sequence[str] = (),
    half_turn: Sequence[str] = (),
    hidden: Sequence[str] = (),
) -> dict[str, Any]:
    """The ``metadata`` of an environment whose actions lie in [-1, 1], and rest at 0.

    Args:
        hz: Control steps a second.
        kind: Of the actions: ``delta``, ``absolute``, ``velocity``, ``torque`` or ``generic``.
        actions: Their names, each with what 1 stands for: metres, pixels, rad or Nm.
        states: Names of the proprioceptive state.
        distance_unit: Of ``info["distance"]``.
        periodic: States that are angles in rad, and wrap.
        half_turn: Periodic states after half a turn of which the robot looks the same.
        hidden: States that a picture cannot show, such as velocities.
    """
    rest = [0.0] * len(actions)
    angles = {"periodic": [*periodic], "half_turn": [*half_turn]}
    return {
        "render_modes": ["rgb_array"],
        "render_fps": hz,
        "actions": {"names": [*actions], "kind": kind, "rest": rest, "scale": [*actions.values()]},
        "states": {"names": [*states], "kind": "generic", **angles, "hidden": [*hidden]},
        "distance_unit": distance_unit,
    }


class Verdict(NamedTuple):
    """How the present scene compares with the goal; for the judge only.

    Attributes:
        distance: From the goal, in the environment's ``distance_unit``.
        success: By the moderate rule.
        strict: By the part of the strict rule that one moment can show.
    """

    distance: float
    success: bool
    strict: bool


class SuiteEnv(gymnasium.Env[dict[str, NDArray[Any]], NDArray[np.float32]], ABC):
    """An environment of another package, asked to make a goal image true.

    It is `Resumable`, a `GoalSetter` and an `Explorer`, and most are an `Expert`
    (`worldmodel.envs.protocol`).

    Observations: ``image`` ``uint8 [s, s, 3]``, ``state`` ``float32 [P]`` and ``goal``
    ``uint8 [s, s, 3]``. Actions: ``float32 [A]`` in [-1, 1]. ``metadata`` names them and the
    states, and says what one unit of an action is. ``info`` holds ``distance``, ``success`` and
    ``success_strict`` (`Verdict`). No episode ends by itself, and none starts at its goal.

    Args:
        image_size: Side of the square images, pixels.
        render_mode: ``rgb_array``, to have `render` return the image; or None.

    Raises:
        ValueError: An argument is not one of the supported values.
    """

    tasks: ClassVar[Collection[str] | None] = ()
    """Of the suite, each a first argument of the class; none of a suite with one task only, and
    None where the class itself refuses what it does not know."""
    strict_steps: ClassVar[int] = 1
    """Steps in a row for which a scene has to meet the strict rule."""

    def __init__(self, image_size: int = 64, render_mode: str | None = None) -> None:
        if not 16 <= image_size <= 1024:
            raise ValueError(f"Expected image_size from 16 to 1024 pixels, got {image_size}")
        if render_mode not in (modes := (None, *self.metadata["render_modes"])):
            raise ValueError(f"Expected render_mode in {modes}, got {render_mode!r}")
        self.image_size, self.render_mode = image_size, render_mode
        image = spaces.Box(0, 255, (image_size, image_size, 3), np.uint8)
        width, count = len(self.metadata["states"]["names"]), len(self.metadata["actions"]["names"])
        state = spaces.Box(-np.inf, np.inf, (width,), np.float32)
        self.observation_space: Any = spaces.Dict(image=image, state=state, goal=image)
        self.action_space = spaces.Box(-1.0, 1.0, (count,), np.float32)
        self.goal_image = np.zeros((image_size, image_size, 3), np.uint8)
        self.goal: Any = None

    @abstractmethod
    def arrange(self) -> None:
        """Draw a goal and a start from ``np_random``; `set_goal` at the one, end at the other."""

    @abstractmethod
    def advance(self, action: NDArray[np.floating[Any]]) -> None:
        """Simulate one control step of an action ``[A]`` within the bounds, without rendering."""

    @abstractmethod
    def camera_image(self) -> NDArray[np.uint8]:
        """What an observation's ``image`` shows now, ``uint8 [s, s, 3]``."""

    @abstractmethod
    def proprioception(self) -> Array:
        """What an observation's ``state`` is now, ``[P]``."""

    @abstractmethod
    def scene(self) -> Any:
        """What success depends on, now, as numbers; for the judge only."""

    @abstractmethod
    def judge(self, scene: Any, goal: Any) -> Verdict:
        """Compare a `scene`, present or recorded, with one that is the goal."""

    def verdict(self) -> Verdict:
        """Compare the present scene with the goal."""
        return self.judge(self.scene(), self.goal)

    def admits(self) -> bool:
        """Whether the benchmark's rules admit the present scene as a start for the goal."""
        return True

    @override
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Draw a start and a goal that is not reached yet.

        Raises:
            ValueError: ``options`` is given; there are none.
        """
        super().reset(seed=seed)
        if options:
            raise ValueError(f"Expected no reset options, got {sorted(options)}; leave them out")
        self.arrange()
        while self.verdict().success:
            self.arrange()
        return self.observe(), self.info()

    @override
    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Apply one action; it is clipped to the bounds.

        Raises:
            ValueError: The action is not A finite numbers. The simulation stays as it is.
        """
        values = np.asarray(action, np.float64)
        if values.shape != self.action_space.shape or not np.isfinite(values).all():
            names = ", ".join(self.metadata["actions"]["names"])
            raise ValueError(f"Expected finite numbers for {names}, got {action!r:.80}")
        self.advance(np.clip(values, -1.0, 1.0))
        info = self.info()
        return self.observe(), float(info["success"]), False, False, info

    def observe(self) -> dict[str, NDArray[Any]]:
        """The observation now."""
        state = self.proprioception().astype(np.float32)
        return {"image": self.camera_image(), "state": state, "goal": self.goal_image.copy()}

    def set_goal(self) -> None:
        """Make the present scene the goal."""
        self.goal_image, self.goal = self.camera_image(), self.scene()

    @override
    def render(self) -> NDArray[np.uint8] | None:
        """The image, if ``render_mode`` asks for one."""
        return self.camera_image() if self.render_mode == "rgb_array" else None

    def info(self) -> dict[str, Any]:
        """What `step` would tell the judge now: ``distance``, ``success``, ``success_strict``."""
        distance, success, strict = self.verdict()
        return {"distance": distance, "success": success, "success_strict": strict}
