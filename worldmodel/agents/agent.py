"""An agent: a world, what a task minimises in it, and a planner; observation in, action out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.agents.environment import Contract, Environment, contract
from worldmodel.agents.hierarchy import PlannerConfig
from worldmodel.agents.policies import planning_agent
from worldmodel.agents.task import TaskConfig, planner_for, task_for
from worldmodel.agents.world import load_world, require_widths
from worldmodel.errors import InputError, SettingsError, UserError
from worldmodel.planners import Agent, PlanRecord
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.vector_world import VectorWorld

__all__ = ["Images", "PlanningAgent", "Recipe", "make_agent", "time_to_plan"]

_SHARE_OF_SLOT = 0.9  # that a plan may take; the rest is for what a search cannot foresee

Images = NDArray[np.uint8] | Tensor
"""``uint8``, RGB."""


@dataclass(frozen=True)
class Recipe:
    """What an agent is made of; another agent is a variation of it.

    Attributes:
        world: To imagine in.
        task: What to minimise.
        planner: Recipes of the search.
        contract: Of the environment.
        budget_ms: Milliseconds that a plan may take; None: no limit.
        compile: Plan with what ``torch.compile`` makes of world and energy.
    """

    world: VectorWorld | TokenWorld
    task: TaskConfig
    planner: PlannerConfig
    contract: Contract
    budget_ms: float | None = None
    compile: bool = False

    @property
    def dtype(self) -> str:
        """What the world imagines in."""
        kinds = {parameter.dtype for parameter in self.world.predictor.parameters()}
        return str(min(kinds, key=lambda kind: kind.itemsize)).removeprefix("torch.")

    def batched(self) -> Agent[Any]:
        """The agent for several episodes at once, in tensors."""
        budget_s = None if self.budget_ms is None else self.budget_ms / 1e3
        return planning_agent(
            self.world, self.task, self.planner, budget_s, self.compile, self.contract.bounds
        )


class PlanningAgent:
    """Drives one episode towards a goal image; `make_agent` makes one.

    >>> import worldmodel as wm
    >>> env = wm.make_env("reach")
    >>> agent = wm.make_agent("default", env)
    >>> observation, _ = env.reset(seed=0)
    >>> agent.reset(observation["goal"])
    >>> agent.act(observation).shape
    (7,)
    >>> env.close()

    Attributes:
        recipe: What it is made of.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._batched, self._has_goal = recipe.batched(), False

    @property
    def records(self) -> Sequence[PlanRecord]:
        """The plans made since the last reset: energies, actions, times."""
        return self._batched.records

    def reset(self, goal: Images, *, seed: int = 0) -> None:
        """Forget the last episode and take up a goal.

        Args:
            goal: ``uint8 [h, w, 3]``, or sub-goals in order ``[G, h, w, 3]``.
            seed: Of the search.

        Raises:
            InputError: That is no image of the world's size, or not as many as the task's stages.
        """
        stages = len(self.recipe.task.stage_steps) + 1
        frames = _frames(goal, "goal", self.recipe.world.image_size, (3,) if stages == 1 else (4,))
        if stages > 1 and len(frames) != stages:
            raise InputError(
                f"Expected {stages} goal images, one more than task.stage_steps, got {len(frames)}"
            )
        self._batched.reset(frames[None], seed=seed)
        self._has_goal = True

    def act(self, observation: Mapping[str, Any]) -> NDArray[np.float32]:
        """The next action ``float32 [A]``, physical units, within the bounds.

        Args:
            observation: Of the environment: ``image`` ``uint8 [h, w, 3]`` and, where the robot has
                proprioception, ``state`` ``float [P]``.

        Raises:
            InputError: Something of it is missing, or is not what the contract says.
        """
        if not isinstance(observation, Mapping) or "image" not in observation:
            got = list(observation) if isinstance(observation, Mapping) else type(observation)
            raise InputError(f"Expected an observation with an image, got {got}")
        if not self._has_goal:
            raise InputError("Expected a goal before an observation; call agent.reset(goal) first")
        image = _frames(observation["image"], "image", self.recipe.world.image_size, (3,))
        width = self.recipe.contract.state_width
        state = torch.as_tensor(np.asarray(observation.get("state", ())), dtype=torch.float32)
        if state.shape != (width,):
            raise InputError(f"Expected a state [{width}], got {list(state.shape)}")
        if not state.isfinite().all():
            raise InputError("Expected a finite state, got NaN or infinity")
        return self._batched.act(image[None], state[None])[0].numpy()


def make_agent(
    checkpoint: str | os.PathLike[str] | VectorWorld | TokenWorld,
    env: Environment,
    *,
    task: str | TaskConfig | None = None,
    planner: str | PlannerConfig = "icem",
    settings: Mapping[str, Any] | None = None,
    budget_ms: float | None = None,
    device: str = "cpu",
    dtype: str = "auto",
    compile: bool = False,
    camera_pose: Sequence[float] = (),
) -> PlanningAgent:
    """An agent for an environment: its world, and what the task decides of the rest.

    Args:
        checkpoint: Folder of a world checkpoint, ``"default"``, or a world from `load_world`.
        env: Its actions, images and states are what the agent has to fit.
        task: Energy, prior, horizon and budget: a task by name, or its settings. None for the
            environment's own; an environment without one is pursued by latent distance.
        planner: By name, with what the task decides of it, or its settings as they are.
        settings: Other settings of a planner by name, such as ``{"samples": 96}``.
        budget_ms: Milliseconds that a plan may take, from images in to actions out.
        device: Such as ``cpu`` or ``cuda``.
        dtype: To imagine in.
        compile: Plan with what ``torch.compile`` makes of world and energies.
        camera_pose: As in `load_world`.

    Raises:
        UserError: The world cannot be read, does not fit the environment, or lacks what the task
            or the planner needs.
    """
    offered = contract(env)
    if budget_ms is not None and not 0 < budget_ms < 1e9:
        raise SettingsError(f"Expected budget_ms above 0, got {budget_ms}")
    world = checkpoint
    if not isinstance(world, VectorWorld | TokenWorld):
        where = {"device": device, "dtype": dtype}
        world = load_world(world, compile=compile, camera_pose=camera_pose, **where)
    name = world.checkpoint or "the world"
    require_widths(world, name, offered.action_width, offered.state_width)
    if world.image_size != offered.image_size:
        raise UserError(
            f"{name} reads images of {world.image_size} pixels, the environment has "
            f"{offered.image_size}; make it with image_size={world.image_size}"
        )
    if not isinstance(task, TaskConfig):
        task = _task(task, env, planner if isinstance(planner, str) else "", offered)
    if not isinstance(planner, str) and settings:
        raise UserError("Expected no settings beside a planner's own; give planner=… by name")
    chosen = planner_for(planner, task, settings) if isinstance(planner, str) else planner
    recipe = Recipe(world, task, chosen, offered, budget_ms, compile)
    return PlanningAgent(recipe)


def _task(name: str | None, env: Environment, planner: str, offered: Contract) -> TaskConfig:
    own = name or getattr(env.unwrapped, "task", None)
    if own is not None:
        return task_for(own, planner)
    dims = tuple(range(offered.action_width))
    return TaskConfig(name=type(env.unwrapped).__name__, world_energy=(), active_dims=dims)


def _frames(images: Images, name: str, size: int, axes: tuple[int, ...]) -> Tensor:
    """Images as a tensor.

    Raises:
        InputError: They are not ``uint8`` RGB, of another size, or a batch where one is wanted.
    """
    if not isinstance(images, Tensor):
        array = np.asarray(images)
        if array.dtype.kind not in "biuf":
            raise InputError(f"Expected {name} as an array of pixels, got {images!r:.60}")
        images = torch.from_numpy(np.ascontiguousarray(array))
    frames = images
    if frames.dtype != torch.uint8:
        remedy = "convert it with .astype(np.uint8)"
        if frames.is_floating_point() and frames.numel() and float(frames.max()) <= 1:
            remedy = "it seems to be in [0, 1]: give (255 * image).astype(np.uint8)"
        raise InputError(f"Expected {name} as uint8 in 0 to 255, got {frames.dtype}; {remedy}")
    if frames.ndim not in axes or frames.shape[-1] != 3:
        shape = "[h,w,3]" if axes == (3,) else "[G,h,w,3]"
        batch = frames.ndim == 4 and axes == (3,)
        remedy = "one frame is wanted, got a batch of them" if batch else "give RGB images"
        raise InputError(f"Expected {name} {shape}, got {list(frames.shape)}; {remedy}")
    if frames.shape[-3:-1] != (size, size):
        raise InputError(
            f"Expected {name} of {size} x {size} pixels, as the world reads them, got "
            f"{frames.shape[-3]} x {frames.shape[-2]}; crop and resize"
        )
    return frames


def time_to_plan(budget_ms: float | None, hz: float | None) -> float | None:
    """Milliseconds that a plan may take: the budget, or what a control rate leaves."""
    if budget_ms is None and hz is not None:
        return _SHARE_OF_SLOT * 1e3 / hz
    return budget_ms
