"""An agent: a world, what a task minimises in it, and a planner; observation in, action out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from worldmodel.agents.environment import Environment, contract
from worldmodel.agents.hierarchy import PlannerConfig, action_search
from worldmodel.agents.objective import ShowsRobot
from worldmodel.agents.planner import Bounds
from worldmodel.agents.policies import planning_agent
from worldmodel.agents.task import TaskConfig, planner_for, task_for
from worldmodel.agents.views import Images, Views
from worldmodel.agents.world import load_world, require_spec
from worldmodel.errors import InputError, SettingsError, UserError
from worldmodel.planners import Agent, PlanRecord
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.predictors.worlds import AnyWorld
from worldmodel.registry import TASKS
from worldmodel.spec import Spec

__all__ = ["Images", "PlanningAgent", "Recipe", "make_agent", "time_to_plan"]

_SHARE_OF_SLOT = 0.9  # that a plan may take; the rest is for what a search cannot foresee


@dataclass(frozen=True)
class Recipe:
    """What an agent is made of; another agent is a variation of it.

    Attributes:
        world: To imagine in.
        task: What to minimise.
        planner: Recipes of the search.
        spec: What actions, states and cameras of the environment mean.
        budget_ms: Milliseconds that a plan may take; None: no limit.
        compile: Plan with what ``torch.compile`` makes of world and energy.
    """

    world: AnyWorld
    task: TaskConfig
    planner: PlannerConfig
    spec: Spec
    budget_ms: float | None = None
    compile: bool = False

    @property
    def dtype(self) -> str:
        """What the world imagines in."""
        kinds = {parameter.dtype for parameter in self.world.predictor.parameters()}
        return str(min(kinds, key=lambda kind: kind.itemsize)).removeprefix("torch.")

    @property
    def bounds(self) -> Bounds:
        """Of the actions."""
        return Bounds.of(self.spec.actions)

    @property
    def views(self) -> Views:
        """How the environment's images become those that the world reads."""
        fit = self.spec.fit if self.world.spec is None else self.world.spec.fit
        return replace(Views.of(self.spec, self.world.image_size), fit=fit)

    def batched(self) -> Agent[Any]:
        """The agent for several episodes at once, in tensors."""
        budget_s = None if self.budget_ms is None else self.budget_ms / 1e3
        return planning_agent(
            self.world, self.task, self.planner, self.bounds, budget_s, self.compile
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
        self._batched, self._has_goal, self._usual = recipe.batched(), False, True

    @property
    def records(self) -> Sequence[PlanRecord]:
        """The plans made since the last reset: energies, actions, times."""
        return self._batched.records

    def reset(self, goal: Images, *, seed: int = 0) -> None:
        """Forget the last episode and take up a goal.

        Args:
            goal: ``uint8 [h, w, 3]``, or sub-goals in order ``[G, h, w, 3]``; of each camera by its
                name where there are several.
            seed: Of the search.

        Raises:
            InputError: That is no image, or not as many as the task's stages.
        """
        stages = len(self.recipe.task.stage_steps) + 1
        frames = self.recipe.views.joined(goal, "goal")
        if frames.ndim != (3 if stages == 1 else 4):
            shape, got = ("[h,w,3]" if stages == 1 else "[G,h,w,3]"), list(frames.shape)
            told = "; one frame is wanted, got a batch of them" if stages == 1 else ""
            raise InputError(f"Expected goal {shape}, got {got}{told}")
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
        if not isinstance(observation, Mapping):
            raise InputError(f"Expected an observation with an image, got {type(observation)}")
        if not self._has_goal:
            raise InputError("Expected a goal before an observation; call agent.reset(goal) first")
        image = self.recipe.views.seen(observation)
        if image.ndim != 3:
            raise InputError(
                f"Expected image [h,w,3], got {list(image.shape)}; one frame is wanted, got a "
                "batch of them"
            )
        width = self.recipe.spec.states.width
        state = torch.as_tensor(np.asarray(observation.get("state", ())), dtype=torch.float32)
        if state.shape != (width,):
            raise InputError(f"Expected a state [{width}], got {list(state.shape)}")
        if not state.isfinite().all():
            raise InputError("Expected a finite state, got NaN or infinity")
        action = self._batched.act(image[None], state[None])[0].numpy()
        if self._usual and self.records[-1].strangeness[0] > 1:
            self._usual = False  # told once
            warnings.warn(
                "an image or the goal is unlike the frames that the world was trained on, by "
                f"{self.records[-1].strangeness[0]:.1f} times what is usual at most; check camera, "
                "colours and light",
                UserWarning,
                stacklevel=2,
            )
        return action


def make_agent(
    checkpoint: str | os.PathLike[str] | AnyWorld,
    env: Environment | None = None,
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
    """An agent for an environment or a robot: its world, and what the task decides of the rest.

    Args:
        checkpoint: Folder of a world checkpoint, ``"default"``, or a world from `load_world`.
        env: Its actions, images and states are what the world was trained on. None for a robot of
            one's own: what the world was trained on says what it sees, feels and does.
        task: Energy, prior, horizon and budget: a task by name, or its settings. None for the
            environment's own; an environment without one is pursued as ``task=goal_image``.
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
    if budget_ms is not None and not 0 < budget_ms < 1e9:
        raise SettingsError(f"Expected budget_ms above 0, got {budget_ms}")
    world = checkpoint
    if not isinstance(world, AnyWorld):
        where = {"device": device, "dtype": dtype}
        world = load_world(world, compile=compile, camera_pose=camera_pose, **where)
    offered = _offered(env, world)
    require_spec(world, offered)
    if world.spec is not None:
        offered = offered.completed(world.spec)
    if not isinstance(task, TaskConfig):
        task = _task(task, env, planner if isinstance(planner, str) else "", world)
    if not isinstance(planner, str) and settings:
        raise UserError("Expected no settings beside a planner's own; give planner=… by name")
    chosen = planner_for(planner, task, settings) if isinstance(planner, str) else planner
    searched = action_search(chosen).active_dims
    if offered.chunked and searched is not None:
        raise UserError(
            f"Expected active_dims=null where actions are chunks, got {list(searched)}, which are "
            "of a single action; give task.active_dims=null"
        )
    recipe = Recipe(world, task, chosen, offered, budget_ms, compile)
    return PlanningAgent(recipe)


def _offered(env: Environment | None, world: AnyWorld) -> Spec:
    if env is not None:
        return contract(env)
    if world.spec is None:
        raise UserError(
            f"Expected an environment with {world.checkpoint or 'a world'}, whose checkpoint does "
            "not say what its numbers mean; give one, or train the world again"
        )
    return world.spec


def _task(name: str | None, env: Environment | None, planner: str, world: AnyWorld) -> TaskConfig:
    inner = None if env is None else env.unwrapped
    own = name or getattr(inner, "task", None)
    if own in TASKS.names():
        task = task_for(str(own), planner)
        apart = isinstance(world, ShowsRobot) or task.energy != "proprio"
        return task if name or apart else replace(task, energy="latent")
    label = str(own or ("robot" if inner is None else type(inner).__name__))
    return task_for("goal_image", planner, {"name": label, **_bare(world)})


def _bare(world: AnyWorld) -> dict[str, Any]:
    """What to minimise in a world that learned nothing of goals: its latents' distance alone."""
    if isinstance(world, VectorWorld):
        return {}
    bare = {"energy": "latent", "prior": False, "world_energy": ()}
    if not isinstance(world, LewmWorld):
        return bare
    ahead = 5 * world.stride  # as LeWorldModel plans: five blocks, carried out before the next plan
    return bare | {"metric": "l2", "horizon": ahead, "receding_horizon": ahead}


def time_to_plan(budget_ms: float | None, hz: float | None) -> float | None:
    """Milliseconds that a plan may take: the budget, or what a control rate leaves."""
    if budget_ms is None and hz is not None:
        return _SHARE_OF_SLOT * 1e3 / hz
    return budget_ms
