"""Who decides in an episode: the planning agent, the policy prior alone, and the controls.

Shapes: B episodes, A action width, P proprioceptive width, H horizon, K goal images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from worldmodel.agents.hierarchy import PlannerConfig, Pursuit, action_search, two_levels
from worldmodel.agents.task import TaskConfig
from worldmodel.envs import ACTION_HIGH, TabletopEnv
from worldmodel.errors import UserError
from worldmodel.planners import (
    Agent,
    CoarseToFine,
    Energy,
    GoalEnergy,
    HierarchicalConfig,
    LatentDistance,
    MeanEnergy,
    Objective,
    Plan,
    Planner,
    PlanRecord,
    Problem,
    Proposal,
    RealTimeAgent,
    RetrievalConfig,
    Total,
    TotalEnergy,
    UncertaintyPenalty,
    World,
    make_search,
)
from worldmodel.predictors.imagination import CalibratedUncertainty
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.vector_world import VectorWorld

__all__ = [
    "CameraWorld",
    "EnergyTowards",
    "Grounded",
    "HasUncertainties",
    "Hindsight",
    "Policy",
    "PriorPlanner",
    "RandomPolicy",
    "ToGoalPose",
    "device_of",
    "place_camera",
    "planning_agent",
    "prior_agent",
    "projected",
    "real_time",
    "require_arm",
    "search",
    "search_agent",
    "task_energy",
    "task_objective",
    "world_energy",
]


class EnergyTowards(Protocol):
    """From goal latents ``[B, N, D]`` to E_goal."""

    def __call__(
        self, goal_latents: Tensor, with_proprio: Tensor | bool | None = None
    ) -> GoalEnergy:
        """E_goal; whether the arm's place counts may be said per episode, else the task says."""
        ...


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


def projected(world: World, start: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """What to plan with, ``[B, 1, N, D]`` each, of images ``[B, 1, h, w, 3]`` of start and goal."""
    here, there = world.encode(start), world.encode(goal)
    return world.project(here, there[:, 0]), world.project(there, here[:, 0])


@runtime_checkable
class HasUncertainties(Protocol):
    """A world model that uncertainties itself, and knows which uncertainties are usual."""

    @property
    def uncertainties(self) -> Mapping[str, CalibratedUncertainty]:
        """UncertaintyHeads, with their quantiles on held-out data, by name."""
        ...


@runtime_checkable
class Hindsight(Protocol):
    """A world model that learned from recordings, in hindsight, what leads to which goals."""

    def goal_energy(
        self,
        goal_latents: Tensor,
        with_proprio: Tensor | bool = False,
        *,
        pessimism: float = ...,
        critics: int | None = ...,
    ) -> GoalEnergy:
        """The learned cost-to-go to goal latents ``[B, N, D]``, the arm's place included or not."""
        ...

    def reachability_energy(
        self, goal_latents: Tensor, with_proprio: Tensor | bool = False
    ) -> GoalEnergy:
        """The learned temporal distance to the same."""
        ...

    def prior(
        self, goal_latents: Tensor, with_proprio: Tensor | bool = False, *, noise: float = ...
    ) -> Proposal:
        """The policy prior towards the same, perturbed by noise."""
        ...


@runtime_checkable
class Grounded(Protocol):
    """A world model whose imagined latents tell the arm's part by its state, not by the image."""

    def grounded(self, latents: Tensor, states: Tensor) -> Tensor:
        """Latents ``[..., N, D]`` of images, as imagined ones with states ``[..., P]`` would be."""
        ...


def planning_agent(
    world: CameraWorld,
    task: TaskConfig,
    planner: PlannerConfig,
    budget_s: float | None = None,
    compiled: bool = False,
) -> Agent[Any]:
    """The planner: what the task says, minimised in the world's imagination, on its device.

    Args:
        world: To imagine in.
        task: What to minimise.
        planner: Settings of the search.
        budget_s: Seconds that a plan may take, from images in to actions out; None: no limit.
        compiled: Plan with what ``torch.compile`` makes of world and energy.
    """
    objective = task_objective(world, task)
    return search_agent(world, objective, task, search(world, task, planner), budget_s, compiled)


def real_time(agent: Agent[Any], receding_horizon: int) -> RealTimeAgent:
    """The same, planning in a thread of its own while the arm acts.

    Args:
        agent: Not to be used otherwise.
        receding_horizon: Control steps from the beginning of one plan to that of the next.
    """
    high = torch.from_numpy(ACTION_HIGH)
    return RealTimeAgent(agent, -high, high, every=receding_horizon)


def require_arm(world: VectorWorld | TokenWorld, checkpoint: str) -> None:
    """Raise a UserError if a checkpoint's world takes other actions or states than the arm's."""
    sizes, expected = world.predictor.config, len(ACTION_HIGH)  # a pose has as many numbers
    for name in ("action_width", "state_width"):
        if (width := getattr(sizes, name)) != expected:
            raise UserError(
                f"{checkpoint}: expected {name} of {expected}, as the built-in arm has it, got "
                f"{width}; train on data of this arm, or plan from Python with one of your own"
            )


def place_camera(world: VectorWorld | TokenWorld, pose: Sequence[float]) -> None:
    """Tell a world where its camera stands, if anything is told.

    Args:
        world: Trained with ``predictor.model.extrinsics=true``.
        pose: xyz (m) and Euler angles (rad) in the robot's frame; () for a world of any camera.

    Raises:
        UserError: That is no pose, or the world has no use for it.
    """
    if not pose:
        return
    if len(pose) != 6:
        raise UserError(f"Expected camera_pose=[x,y,z,a,b,c], got {len(pose)} numbers")
    if not isinstance(world, TokenWorld) or not world.predictor.config.extrinsics:
        raise UserError(
            "Expected no camera_pose, for the checkpoint was not trained with "
            "predictor.model.extrinsics=true; leave it out"
        )
    world.camera = torch.tensor([list(pose)], device=device_of(world))


def search(
    world: CameraWorld,
    task: TaskConfig,
    planner: PlannerConfig,
    high: Tensor | None = None,
) -> Planner[Any]:
    """The search that settings describe, over actions in physical units.

    Args:
        world: To search in.
        task: Says what a planner on two time scales pursues.
        planner: Settings.
        high: Action bounds ``[A]``, both ways; None for those of the built-in arm.

    Raises:
        UserError: The world lacks what the planner needs.
    """
    if isinstance(world, TokenWorld) and world.predictor.config.extrinsics and world.camera is None:
        raise UserError(
            "Expected a checkpoint that plans without the camera's pose, got one trained with "
            "predictor.model.extrinsics=true; `plan` and `landscape` take it as "
            "camera_pose=[x,y,z,a,b,c], from Python it is `world.camera`"
        )
    elites = getattr(action_search(planner), "elites", 1)
    if 0 < task.rescore < elites:
        raise UserError(
            f"Expected task.rescore of at least the planner's {elites} elites, which are to be "
            f"among those that all terms judge, got {task.rescore}; raise it, or lower elites"
        )
    high = (torch.from_numpy(ACTION_HIGH) if high is None else high).to(device_of(world))
    low_level = make_search(action_search(planner), -high, high)
    if not isinstance(planner, HierarchicalConfig | RetrievalConfig):
        return low_level
    pursuit = task_objective(world, replace(task, energy=planner.towards))
    return two_levels(world, planner, low_level, pursuit, goal_proprio=task.goal_proprio)


def search_agent(
    world: World,
    objective: Callable[[Tensor], Objective],
    task: TaskConfig,
    planner: Planner[Any],
    budget_s: float | None = None,
    compiled: bool = False,
) -> Agent[Any]:
    """A search through a world's imagination, again after every few steps."""
    return Agent(
        world,
        planner,
        objective,
        stage_steps=task.stage_steps,
        budget_s=budget_s,
        compiled=compiled,
        device=device_of(world),
    )


def device_of(world: World) -> torch.device:
    """Where a world imagines; one that is no model does on the CPU."""
    parameters = world.parameters() if isinstance(world, nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


def prior_agent(world: CameraWorld, task: TaskConfig, planner: PlannerConfig) -> Policy:
    """The policy prior alone, asked anew at every step: no search."""
    device = device_of(world)
    prior = PriorPlanner(_bounds(action_search(planner).active_dims).to(device))
    objective = task_objective(world, replace(task, prior=True))
    return Agent(world, prior, objective, stage_steps=task.stage_steps, device=device)


def world_energy(world: CameraWorld, terms: Sequence[str]) -> Energy | None:
    """E_world, the mean of calibrated uncertainties; None without terms. No other is computed.

    Raises:
        UserError: The world does not have one of the terms.
    """
    known = world.uncertainties if isinstance(world, HasUncertainties) else {}
    if missing := [name for name in terms if name not in known]:
        raise UserError(
            f"Expected a checkpoint with the world energy {', '.join(missing)}, got one with "
            f"{', '.join(known) or 'none'}; plan with 'task.world_energy=[{','.join(known)}]'"
        )
    energies = [UncertaintyPenalty(*known[name]) for name in terms]
    return MeanEnergy(energies) if energies else None


def task_objective(
    world: CameraWorld, task: TaskConfig, goal_energy: EnergyTowards | None = None
) -> Pursuit:
    """From goal latents ``[B, N, D]`` to the energy and the prior with which a task is pursued.

    Args:
        world: Has learned the terms of the energy and the prior.
        task: Says which of them count, and how much.
        goal_energy: What E_goal is; None for the one that the task names.

    Raises:
        UserError: The task asks for an energy, a prior or a uncertainty that the world does not
            have.
    """
    uncertainty = world_energy(world, task.world_energy)
    hindsight = _hindsight(world) if task.prior else None
    if goal_energy is None:
        goal_energy = task_energy(world, task)

    def objective(goal_latents: Tensor, with_proprio: Tensor | bool | None = None) -> Objective:
        with_proprio = task.goal_proprio if with_proprio is None else with_proprio
        energy: Total = TotalEnergy(
            goal_energy(goal_latents, with_proprio), uncertainty, task.goal_weight
        )
        if task.rescore:
            rough = _hindsight(world).goal_energy(goal_latents, with_proprio, critics=1)
            energy = CoarseToFine(energy, rough, task.rescore)
        if hindsight is None:
            return Objective(energy)
        return Objective(
            energy, hindsight.prior(goal_latents, with_proprio, noise=task.prior_noise)
        )

    return objective


def task_energy(world: CameraWorld, task: TaskConfig) -> EnergyTowards:
    """The E_goal that the task names.

    Raises:
        UserError: The world has not learned it.
    """
    if task.energy == "latent":
        return lambda goal_latents, with_proprio=None: LatentDistance(
            goal_latents, task.metric, task.reduce
        )
    hindsight = _hindsight(world)
    learned: dict[str, Callable[[Tensor, Tensor | bool], GoalEnergy]] = {
        "value": partial(hindsight.goal_energy, pessimism=task.pessimism),
        "reachability": hindsight.reachability_energy,
    }

    def energy(goal_latents: Tensor, with_proprio: Tensor | bool | None = None) -> GoalEnergy:
        counts = task.goal_proprio if with_proprio is None else with_proprio
        return learned[task.energy](goal_latents, counts)

    return energy


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

    receding_horizon = 1

    def __init__(self, high: Tensor) -> None:
        self._high = high

    def init(self, batch: int, after: None = None) -> None:
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
        if not proposals.isfinite().all():
            raise FloatingPointError(
                "The policy prior proposes actions that are not finite; look for NaN in the frames "
                "or states"
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
