"""Who decides in an episode: the planning agent, the policy prior alone, and the controls.

Shapes: B episodes, A action width, P proprioceptive width, H horizon, K goal images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from envs import ACTION_HIGH, TabletopEnv
from planners import (
    CEM,
    Agent,
    CEMConfig,
    Disagreement,
    Energy,
    LatentDistance,
    Objective,
    Plan,
    PlanRecord,
    Problem,
    Proposal,
    TotalEnergy,
    World,
)
from worldmodel.commands.task import TaskConfig
from worldmodel.errors import UserError

__all__ = [
    "Calibrated",
    "CameraWorld",
    "Grounded",
    "Hindsight",
    "Policy",
    "PriorPlanner",
    "RandomPolicy",
    "ToGoalPose",
    "planning_agent",
    "prior_agent",
    "search_agent",
    "task_energy",
    "task_objective",
    "usual_disagreement",
]


class Policy(Protocol):
    """Decides for B episodes in step; ``planners.Agent`` is one. It sees observations only."""

    @property
    def records(self) -> Sequence[PlanRecord]:
        """The plans made since the last reset."""
        ...

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Take up new goals, ``uint8 [B, h, w, 3]`` or sub-goals ``[B, K, h, w, 3]``."""
        ...

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """Actions ``[B, A]`` for images ``uint8 [B, h, w, 3]`` and states ``[B, P]``."""
        ...


class CameraWorld(World, Protocol):
    """A world model that says which images it reads."""

    @property
    def image_size(self) -> int:
        """Side of the square camera images, pixels."""
        ...


@runtime_checkable
class Calibrated(Protocol):
    """A world model that knows what disagreement is usual."""

    @property
    def disagreement_quantiles(self) -> tuple[Tensor, Tensor] | None:
        """Held-out 90 % and 99 % quantiles per imagined step; None with a single member."""
        ...


@runtime_checkable
class Hindsight(Protocol):
    """A world model that learned from recordings, in hindsight, what leads to which goals."""

    def goal_energy(self, goal_latents: Tensor, with_arm: bool = False) -> Energy:
        """The learned cost-to-go to goal latents ``[B, N, D]``, the arm's place included or not."""
        ...

    def reachability_energy(self, goal_latents: Tensor, with_arm: bool = False) -> Energy:
        """The learned temporal distance to the same."""
        ...

    def prior(self, goal_latents: Tensor, with_arm: bool = False) -> Proposal:
        """The policy prior towards the same."""
        ...


@runtime_checkable
class Grounded(Protocol):
    """A world model whose imagined latents tell the arm's part by its state, not by the image."""

    def grounded(self, latents: Tensor, states: Tensor) -> Tensor:
        """Latents ``[..., N, D]`` of images, as imagined ones with states ``[..., P]`` would be."""
        ...


def planning_agent(
    world: CameraWorld, task: TaskConfig, planner: CEMConfig, device: str = "cpu"
) -> Policy:
    """The planner: what the task says, minimised in the world's imagination."""
    return search_agent(world, task_objective(world, task), task, planner, device)


def search_agent(
    world: World,
    objective: Callable[[Tensor], Objective],
    task: TaskConfig,
    planner: CEMConfig,
    device: str = "cpu",
) -> Policy:
    """CEM through a world's imagination, again after every few steps."""
    high = torch.from_numpy(ACTION_HIGH).to(device)
    cem = CEM(planner, -high, high)
    return Agent(world, cem, objective, stage_steps=task.stage_steps, device=device)


def prior_agent(
    world: CameraWorld, task: TaskConfig, planner: CEMConfig, device: str = "cpu"
) -> Policy:
    """The policy prior alone, asked anew at every step: no search."""
    prior = PriorPlanner(_bounds(planner.active_dims).to(device))
    objective = task_objective(world, replace(task, prior=True))
    return Agent(world, prior, objective, stage_steps=task.stage_steps, device=device)


def usual_disagreement(world: CameraWorld) -> tuple[Tensor, Tensor] | None:
    """The quantiles that E_world is calibrated with, if the world has any."""
    return world.disagreement_quantiles if isinstance(world, Calibrated) else None


def task_objective(
    world: CameraWorld, task: TaskConfig, goal_energy: Callable[[Tensor], Energy] | None = None
) -> Callable[[Tensor], Objective]:
    """From goal latents ``[B, N, D]`` to the energy and the prior with which a task is pursued.

    Args:
        world: Has learned the terms of the energy and the prior.
        task: Says which of them count, and how much.
        goal_energy: From goal latents to E_goal; None for the one that the task names.

    Raises:
        UserError: The task asks for an energy or a prior that the world does not have.
    """
    quantiles = usual_disagreement(world) if task.world_energy else None
    world_energy = None if quantiles is None else Disagreement(*quantiles)
    hindsight = _hindsight(world) if task.prior else None
    if goal_energy is None:
        goal_energy = task_energy(world, task)

    def objective(goal_latents: Tensor) -> Objective:
        energy = TotalEnergy(goal_energy(goal_latents), world_energy, task.goal_weight)
        if hindsight is None:
            return Objective(energy)
        return Objective(energy, hindsight.prior(goal_latents, task.goal_arm))

    return objective


def task_energy(world: CameraWorld, task: TaskConfig) -> Callable[[Tensor], Energy]:
    """From goal latents ``[B, N, D]`` to the E_goal that the task names.

    Raises:
        UserError: The world has not learned it.
    """
    if task.energy == "latent":
        return partial(LatentDistance, metric=task.metric, reduce=task.reduce)
    learned = {
        "value": _hindsight(world).goal_energy,
        "reachability": _hindsight(world).reachability_energy,
    }
    return partial(learned[task.energy], with_arm=task.goal_arm)


def _hindsight(world: CameraWorld) -> Hindsight:
    """The world as one that learned in hindsight.

    Raises:
        UserError: It did not.
    """
    if not isinstance(world, Hindsight):
        raise UserError(
            "Expected a checkpoint with a value, a reachability and a policy prior, got one "
            "without; plan with task.energy=latent task.prior=false"
        )
    return world


def _bounds(active_dims: Sequence[int]) -> Tensor:
    """Action bounds ``[A]``, both ways; zero in the dimensions that planners leave alone."""
    high = torch.zeros(len(ACTION_HIGH))
    high[list(active_dims)] = torch.from_numpy(ACTION_HIGH)[list(active_dims)]
    return high


class PriorPlanner:
    """Carries out the first step of what the policy prior proposes first.

    Args:
        high: Action bounds ``[A]``, both ways; zero where the action stays zero.
    """

    execute = 1

    def __init__(self, high: Tensor) -> None:
        self._high = high

    def init(self, batch: int) -> None:
        """There is nothing to remember."""

    def shift(self, state: None, steps: int) -> None:
        """There is nothing to remember."""

    def plan(
        self,
        problem: Problem,
        state: None,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
        profile: bool = False,
    ) -> tuple[Plan, None]:
        """The proposal, unevaluated: its energy is NaN."""
        assert problem.proposal is not None
        proposals = problem.proposal(
            problem.latents,
            problem.states,
            samples=1,
            horizon=problem.world.stride,
            generator=generator,
        )
        actions = proposals[:, 0].clamp(-self._high, self._high)
        unknown = torch.full((len(actions),), torch.nan)
        return Plan(actions, unknown, {}, unknown[:, None], 0), None


class RandomPolicy:
    """Uniform actions within the bounds, in the dimensions that planners search over."""

    def __init__(self, active_dims: Sequence[int], seed: int) -> None:
        self.records: tuple[PlanRecord, ...] = ()
        self._high = _bounds(active_dims)
        self._generator = torch.Generator().manual_seed(seed)

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Nothing to reset: every episode goes on with the same stream."""

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """Uniform noise."""
        noise = torch.rand(len(frames), len(self._high), generator=self._generator)
        return (2 * noise - 1) * self._high


class ToGoalPose:
    """Drives the gripper straight to its pose at the goal, whatever becomes of the object.

    Privileged: it reads the goal pose from the simulator. Rotations stay as they are.
    """

    def __init__(self, environments: Sequence[TabletopEnv]) -> None:
        self.records: tuple[PlanRecord, ...] = ()
        self._environments = environments

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Nothing to reset: goals are read from the simulator."""

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """The rest of the way, as far as the bounds allow."""
        high = torch.from_numpy(ACTION_HIGH)
        goals = [torch.from_numpy(env.goal_state) for env in self._environments[: len(frames)]]
        action = (torch.stack(goals).float() - states).clamp(-high, high)
        action[:, 3:6] = 0.0
        return action
