"""The scene, the control and the protocol that all tabletop tasks share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import logger, spaces
from numpy.typing import NDArray

from worldmodel.envs.offscreen import OffscreenRenderer
from worldmodel.envs.tabletop.appearance import RichAppearance, add_distractors, check_appearance
from worldmodel.envs.tabletop.arm import Arm
from worldmodel.envs.tabletop.pose import Array, compose
from worldmodel.envs.tabletop.splits import SPLITS
from worldmodel.envs.window import Window

__all__ = ["ACTION_HIGH", "CONTROL_HZ", "MARK", "Script", "Snapshot", "TabletopEnv"]

Script = Iterator["Array | None"]
MARK = None  # what a script yields, instead of an action, where a sub-goal image is to be taken

CONTROL_HZ = 5
ACTION_HIGH = np.array([0.05, 0.05, 0.05, 0.25, 0.25, 0.25, 0.5], dtype=np.float32)
_COMPONENTS = ("x", "y", "z", "roll", "pitch", "yaw", "closedness")

WORKSPACE = np.array([[0.34, -0.23, 0.02], [0.70, 0.23, 0.30]])  # of the tool, m
TILT_LIMIT = np.array([0.4, 0.4, 1.5])  # roll and pitch away from pointing down, yaw; rad
OBJECT_REGION = np.array([[0.42, -0.15], [0.62, 0.15]])  # where objects start and end, m
CUBE = 0.025  # half side, m
DOWN = np.array(
    [np.pi, 0.0, np.pi / 2]
)  # Euler angles of a gripper that points down, fingers fore and aft
OPEN, CLOSED = 0.0, 1.0
SUCCESS_DISTANCE = 0.04  # m

_SUBSTEPS, _RAMP = 50, 7  # simulator steps per control step; tenths of it that move the target
_WINDUP = 0.02  # m that a command may run ahead of a blocked arm
_IMAGE_SIZES = (64, 96, 128, 192, 224, 256, 384)
_LARGEST_PICTURE = 4096  # px


@dataclass(frozen=True)
class Snapshot:
    """Everything needed to continue a simulation from here."""

    physics: Array
    command: Array


class TabletopEnv(gymnasium.Env[Any, NDArray[np.float32]], ABC):
    """A 7-joint arm with a parallel gripper above a rimmed table, asked to make a goal image true.

    Observations: ``image`` ``uint8 [s, s, 3]``, ``state`` ``float32 [7]`` (tool xyz in m,
    extrinsic-xyz Euler angles in rad, closedness in [0, 1]) and ``goal`` ``uint8 [s, s, 3]``.
    The closedness is the commanded one, so that a zero action keeps its grip on an object.

    Actions: ``float32 [7]``, the change of that state in one control step (0.2 s), clipped to
    ``ACTION_HIGH``; rotations are about the world's axes and composed. Commands stay within the
    workspace. An action that is not seven finite numbers raises ValueError and changes nothing, so
    that the episode can go on.

    Success is told in ``info`` (and as the reward) for evaluation only: nothing in an observation
    depends on it. An episode never terminates; whoever runs it decides on a budget.
    ``gymnasium.make`` truncates it after the task's (`envs.tasks`).

    One thread at a time may use an environment, any thread. A process that was forked after
    rendering cannot render, which is RuntimeError; spawn it instead.

    Args:
        image_size: Side of the square camera image in pixels.
        render_mode: What `render` does: ``rgb_array`` returns a picture; ``human`` shows every step
            in a window, in the time that it takes; None nothing. Observations do not depend on it.
        appearance: ``plain``, or ``rich`` for another look in every episode
            (`envs.tabletop.appearance`).
        split: What rich looks are drawn from: ``train``, or ``test``, which share nothing.
        width: Of the picture that `render` returns, in pixels.
        height: Of that picture, in pixels.

    Raises:
        ValueError: An argument is not one of the supported values.
    """

    task: str  # what `worldmodel.envs.make` calls it
    turned = np.pi  # rad by which objects lie turned at most, either way
    success_distance = SUCCESS_DISTANCE
    workspace = WORKSPACE
    object_size = 2 * CUBE

    metadata: dict[str, Any] = {  # noqa: RUF012  (as gymnasium declares it)
        "render_modes": ["human", "rgb_array"],
        "render_fps": CONTROL_HZ,
        "actions": {
            "names": ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "dgripper"],
            "kind": "pose_delta",
            "rest": [0.0] * 7,
            "scale": [1.0] * 7,
        },
        "states": {
            "names": ["x", "y", "z", "roll", "pitch", "yaw", "gripper"],
            "kind": "pose",
            "periodic": ["roll", "pitch", "yaw"],
            "half_turn": [],
            "hidden": [],
        },
        "distance_unit": "m",
    }

    def __init__(
        self,
        image_size: int = 96,
        render_mode: str | None = None,
        appearance: str = "plain",
        split: str = "test",
        width: int = 480,
        height: int = 480,
    ) -> None:
        if image_size not in _IMAGE_SIZES:
            raise ValueError(f"Expected image_size in {_IMAGE_SIZES}, got {image_size}")
        if render_mode not in (modes := (None, *self.metadata["render_modes"])):
            raise ValueError(f"Expected render_mode in {modes}, got {render_mode!r}")
        if not all(1 <= side <= _LARGEST_PICTURE for side in (width, height)):
            raise ValueError(
                f"Expected width and height from 1 to {_LARGEST_PICTURE}, got {width} and {height}"
            )
        check_appearance(appearance, split)
        self.render_mode = render_mode
        self.image_size = image_size
        self.appearance, self.split = appearance, split
        self.width, self.height = width, height
        image = spaces.Box(0, 255, (image_size, image_size, 3), np.uint8)
        bound = np.array([1, 1, 1, np.pi, np.pi, np.pi, 1], dtype=np.float32)
        self.observation_space = spaces.Dict(
            image=image,
            state=spaces.Box(-bound, bound, dtype=np.float32),
            goal=image,
        )
        self.action_space = spaces.Box(-ACTION_HIGH, ACTION_HIGH, dtype=np.float32)

        rich = appearance == "rich"
        self._model = self._build(rich)
        self._appearance = RichAppearance(self._model, SPLITS[split]) if rich else None
        self._data = mujoco.MjData(self._model)
        self._arm = Arm(self._model)
        self._cube = self._model.joint("cube").qposadr[0]
        self._camera: OffscreenRenderer | None = None  # of observations
        self._viewer: OffscreenRenderer | None = None  # of `render`
        self._window: Window | None = None
        self._command = np.zeros(7)
        self.goal_image = np.zeros((image_size, image_size, 3), np.uint8)
        self.goal_state = np.zeros(7)
        self.goal_object = np.zeros(3)

    # What a task defines.

    @abstractmethod
    def arrange(self) -> None:
        """Put the arm and the object at a random start and draw what to do, from ``np_random``."""

    @abstractmethod
    def script(self) -> Script:
        """A scripted solution, reading the simulator's state, from wherever that is.

        Its end makes the goal image, and each `MARK` on the way a sub-goal image.
        """

    def distance_at(self, tool: Array, object_position: Array) -> Array:
        """What success is judged by: metres ``[...]`` from the object to where the goal shows it.

        Of the simulation nothing but the goal is read, so that it can be asked of imagined states.

        Args:
            tool: Poses of the tool, ``[..., 7]`` as `tool_pose` gives them.
            object_position: Centres of the object, ``[..., 3]`` (m).
        """
        return np.linalg.norm(object_position - self.goal_object, axis=-1)

    def cost_at(self, tool: Array, object_position: Array) -> Array:
        """A shaped cost ``[...]`` (m) of the same, for privileged planners only."""
        return self.distance_at(tool, object_position) + 0.1 * np.linalg.norm(
            tool[..., :3] - object_position, axis=-1
        )

    def well_posed(self, start: Array) -> bool:
        """Whether the goal that the script reached is a fair one, for an object from ``start``."""
        return True

    def add_objects(self, spec: mujoco.MjSpec) -> None:
        """Add the objects of the scene; the one to be moved is called ``cube``."""
        body = spec.worldbody.add_body(name="cube")
        body.add_freejoint(name="cube")
        add_box(body, "cube", [CUBE] * 3, [0.85, 0.1, 0.1, 1.0], mass=0.1)

    def scatter(self, rng: np.random.Generator, low: Array, high: Array) -> None:
        """Put the objects anywhere between two corners ``[2]`` (m) of the table, to explore."""
        place = np.array([*rng.uniform(low, high), CUBE])
        self.place_object(place, rng.uniform(-self.turned, self.turned))

    def tops(self) -> list[Array]:
        """Points ``[3]`` (m) on which the object can be put down, besides the table."""
        return []

    # What every task shares.

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Draw a task: a start, and a goal image that the scripted expert has reached from it.

        Returns:
            The observation, and ``info`` with ``subgoals`` ``uint8 [K, s, s, 3]``, whose last one
            is the goal image, ``success`` and ``distance`` (m).

        Raises:
            ValueError: ``options`` is given; there are none.
        """
        super().reset(seed=seed)
        if options:
            raise ValueError(f"Expected no reset options, got {sorted(options)}")
        self.randomize(self.np_random.spawn(1)[0])
        while True:
            self.reset_scene()
            self.arrange()
            self.settle()
            start, object_start = self.snapshot(), self.object_position()
            images = [self.camera_image() for action in self.script() if self._marks(action)]
            self.advance(np.zeros(7))
            self.goal_state, self.goal_object = self.tool_pose(), self.object_position()
            if self.well_posed(object_start):
                break
        self.set_goal()
        self.restore(start)
        if self.render_mode == "human":
            self._show()
        return self.observe(), self.info() | {"subgoals": np.stack([*images, self.goal_image])}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Apply one action for 0.2 s; see the class for its meaning.

        Raises:
            ValueError: The action is not seven finite numbers. The simulation stays as it is.
        """
        self.advance(action)
        if self._window is not None:
            self._window.show_step(self._data)
        info = self.info()
        return self.observe(), float(info["success"]), False, False, info

    def expert(self) -> Iterator[Array]:
        """The script's actions, then zero actions for ever."""
        yield from (action for action in self.script() if action is not MARK)
        while True:
            yield np.zeros(7)

    def advance(self, action: NDArray[np.floating[Any]]) -> None:
        """Simulate one control step without rendering; actions are clipped to their bounds.

        Raises:
            ValueError: The action is not seven finite numbers. The simulation stays as it is.
        """
        action = _checked(action)
        measured = self._arm.pose(self._data)
        blocked = np.abs(self._command[:3] - measured[:3]).max() > _WINDUP
        origin = np.concatenate([measured[:3], self._command[3:]]) if blocked else self._command
        self._command = _inside(compose(origin, np.clip(action, -ACTION_HIGH, ACTION_HIGH)))
        start = self._data.ctrl[:7].copy()
        goal = self._arm.solve(start, self._command)
        for tenth in range(1, 11):
            blend = min(tenth / _RAMP, 1.0)
            self._arm.command(self._data, start + blend * (goal - start), self._command[6])
            mujoco.mj_step(self._model, self._data, _SUBSTEPS // 10)

    def tool_pose(self) -> Array:
        """Pose ``[7]``: measured xyz (m) and Euler angles (rad), commanded closedness."""
        return np.concatenate([self._arm.pose(self._data)[:6], self._command[6:]])

    def proprioception(self) -> Array:
        """What an observation's ``state`` is now, ``[7]``."""
        return self.tool_pose()

    def object_position(self) -> Array:
        """Centre of the object, xyz ``[3]`` (m)."""
        return self._data.qpos[self._cube : self._cube + 3].copy()

    def distance(self) -> float:
        """`distance_at` (m) where the simulation is."""
        return float(self.distance_at(self.tool_pose(), self.object_position()))

    def task_cost(self) -> float:
        """`cost_at` (m) where the simulation is."""
        return float(self.cost_at(self.tool_pose(), self.object_position()))

    def snapshot(self) -> Snapshot:
        """The simulation's state, to be given back to `restore`."""
        physics = np.empty(mujoco.mj_stateSize(self._model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(self._model, self._data, physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        return Snapshot(physics, self._command.copy())

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot of this task's simulation."""
        mujoco.mj_setState(
            self._model, self._data, snapshot.physics, mujoco.mjtState.mjSTATE_INTEGRATION
        )
        mujoco.mj_forward(self._model, self._data)
        self._command = snapshot.command.copy()

    def observe(self) -> dict[str, NDArray[Any]]:
        """The observation now."""
        return {
            "image": self.camera_image(),
            "state": self.tool_pose().astype(np.float32),
            "goal": self.goal_image.copy(),
        }

    def set_goal(self) -> None:
        """Make the present scene the goal: its image, and what success is judged by."""
        self.goal_state, self.goal_object = self.tool_pose(), self.object_position()
        self.goal_image = self.camera_image()

    def explore(self, rng: np.random.Generator) -> Iterator[Array]:
        """Noisy actions for ever, as data of the task are collected; see `exploration`."""
        from worldmodel.envs.tabletop import exploration  # it needs this module

        return exploration.explore(self, rng, exploration.MIXTURES[self.task])

    def randomize(self, rng: np.random.Generator) -> None:
        """Draw how the scene looks until the next time; for a scene yet to be arranged."""
        if self._appearance is None:
            return
        self._appearance.randomize(rng)
        for renderer in (self._camera, self._viewer):
            if renderer is not None:
                renderer.upload_textures()
        if self._window is not None:
            self._window.update_look(self._model)

    def reset_scene(self) -> None:
        """Everything at its default, at rest."""
        mujoco.mj_resetData(self._model, self._data)

    def place_arm(self, xyz: Array, closedness: float) -> None:
        """Put the arm at rest with its gripper at ``xyz`` (m), pointing down."""
        self._command = np.concatenate([xyz, DOWN, [closedness]])
        self._arm.place(self._data, self._command)

    def place_object(self, xyz: Array, yaw: float) -> None:
        """Put the object at ``xyz`` (m), turned by ``yaw`` (rad)."""
        quaternion = [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
        self._data.qpos[self._cube : self._cube + 7] = np.concatenate([xyz, quaternion])
        mujoco.mj_forward(self._model, self._data)

    def settle(self, steps: int = 1) -> None:
        """Hold still for some control steps, so that objects come to rest."""
        for _ in range(steps):
            self.advance(np.zeros(7))

    def camera_image(self) -> NDArray[np.uint8]:
        """What an observation's ``image`` shows now, ``uint8 [s, s, 3]``."""
        if self._camera is None:
            self._camera = OffscreenRenderer(self._model, self.image_size, self.image_size)
        return self._camera.picture(self._data, "front")

    def render(self) -> NDArray[np.uint8] | None:
        """A picture for people, by ``render_mode``: ``uint8 [height, width, 3]``, or None."""
        if self.render_mode is None:
            logger.warn(
                "render() shows nothing, as no render_mode was given: make the environment with "
                'render_mode="rgb_array" or "human"'
            )
            return None
        if self.render_mode == "human":
            self._show()
            return None
        if self._viewer is None:
            self._viewer = OffscreenRenderer(self._model, self.width, self.height)
        return self._viewer.picture(self._data, "front")

    def close(self) -> None:
        """Free the renderers and close the window; what is asked for next opens them again."""
        for view in (self._camera, self._viewer, self._window):
            if view is not None:
                view.close()
        self._camera = self._viewer = self._window = None

    def _build(self, rich: bool) -> mujoco.MjModel:
        with as_file(files("worldmodel.envs.tabletop") / "assets" / "tabletop.xml") as path:
            spec = mujoco.MjSpec.from_file(str(path))
        self.add_objects(spec)
        if rich:
            add_distractors(spec)
        return spec.compile()

    def _show(self) -> None:
        if self._window is None:
            self._window = Window(self._model, self._data, CONTROL_HZ)
        self._window.show(self._data)

    def _marks(self, action: Array | None) -> bool:
        """Advance by an action; True at a `MARK`."""
        if action is not MARK:
            self.advance(action)
        return action is MARK

    def info(self) -> dict[str, Any]:
        """What `step` would tell the judge now: ``success`` and ``distance`` (m)."""
        distance = self.distance()
        return {"success": distance <= SUCCESS_DISTANCE, "distance": distance}


def add_box(body: Any, name: str, half: list[float], rgba: list[float], mass: float) -> None:
    """Add a colliding box to a body of a `mujoco.MjSpec`: half sides in m, mass in kg."""
    geom = body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_BOX, size=half, rgba=rgba, mass=mass)
    geom.contype, geom.conaffinity = 1, 1 | 2  # 2: the invisible walls
    geom.condim = 4
    geom.friction = [0.6, 0.005, 0.0001]
    geom.solref = [0.01, 1.0]


def _checked(action: object) -> Array:
    """The action as numbers, if it is seven finite ones."""
    try:
        given = np.asarray(action)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"Expected an action of {len(_COMPONENTS)} numbers: {error}") from error
    if given.shape != ACTION_HIGH.shape or given.dtype.kind not in "fiu":
        raise ValueError(
            f"Expected an action of {len(_COMPONENTS)} numbers ({', '.join(_COMPONENTS)}), "
            f"got shape {given.shape} of {given.dtype}"
        )
    values = given.astype(np.float64)
    if not np.isfinite(values).all():
        worst = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"Expected a finite action, got {values[worst]} for {_COMPONENTS[worst]} "
            f"(component {worst})"
        )
    return values


def _inside(pose: Array) -> Array:
    """The pose, moved into the workspace."""
    turned = pose[3:6] - DOWN
    turned = (turned + np.pi) % (2 * np.pi) - np.pi
    euler = DOWN + np.clip(turned, -TILT_LIMIT, TILT_LIMIT)
    return np.concatenate([np.clip(pose[:3], *WORKSPACE), euler, pose[6:]])
