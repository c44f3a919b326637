"""What a task minimises: from goal latents to E_world + λ·E_goal, and the prior beside it.

Shapes: B episodes, S candidates, N tokens of width D, P proprioceptive width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

from torch import Tensor

from worldmodel.agents.task import TaskConfig
from worldmodel.errors import UserError
from worldmodel.planners import (
    Approach,
    ApproachReferee,
    CoarseToFine,
    Energy,
    GoalEnergy,
    LatentDistance,
    MeanEnergy,
    Objective,
    Proposal,
    Referee,
    Total,
    TotalEnergy,
    UncertaintyPenalty,
    World,
)
from worldmodel.predictors.imagination import CalibratedUncertainty
from worldmodel.registry import GOAL_ENERGIES, UNCERTAINTIES

__all__ = [
    "EnergyTowards",
    "HasUncertainties",
    "Hindsight",
    "Pursuit",
    "ShowsPart",
    "ShowsRobot",
    "latent_energy",
    "projected",
    "proprio_energy",
    "reachability_energy",
    "task_energy",
    "task_objective",
    "value_energy",
    "world_energy",
]


class EnergyTowards(Protocol):
    """From goal latents ``[B, N, D]`` to E_goal."""

    def __call__(
        self, goal_latents: Tensor, with_proprio: Tensor | bool | None = None
    ) -> GoalEnergy:
        """E_goal; whether the arm's place counts may be said per episode, else the task says."""
        ...


class Pursuit(Protocol):
    """From goal latents ``[B, N, D]`` to what is minimised to get there."""

    def __call__(
        self, goal_latents: Tensor, with_proprio: Tensor | bool | None = None
    ) -> Objective:
        """The objective; ``with_proprio`` as in `EnergyTowards`."""
        ...


@runtime_checkable
class HasUncertainties(Protocol):
    """A world model that tells where it is uncertain, and what is usual of that."""

    @property
    def uncertainties(self) -> Mapping[str, CalibratedUncertainty]:
        """Uncertainties, with their quantiles on held-out data, by name."""
        ...


@runtime_checkable
class ShowsPart(Protocol):
    """A world model whose latents hold what a goal image cannot show."""

    @property
    def visible(self) -> Tensor:
        """What it can show, 0 or 1 ``[D]``."""
        ...


@runtime_checkable
class ShowsRobot(Protocol):
    """A world model that knows which part of its latents is the robot's own."""

    @property
    def robot_part(self) -> Tensor:
        """Channels that are the robot's and that a goal image shows, 0 or 1 ``[D]``."""
        ...


@runtime_checkable
class Hindsight(Protocol):
    """A world model that learned from recordings, in hindsight, what leads to which goals."""

    @property
    def typical_step(self) -> float:
        """How far latents go in an imagined step of the data, root mean square; 0: unknown."""
        ...

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

    def referee(
        self, goal_latents: Tensor, with_proprio: Tensor | bool = False, margin: float = ...
    ) -> Referee:
        """Who may leave the prior's own choice, for a margin in imagined steps."""
        ...


def projected(world: World, start: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """What to plan with, ``[B, 1, N, D]`` each, of images ``[B, 1, h, w, 3]`` of start and goal."""
    here, there = world.encode(start), world.encode(goal)
    return world.project(here, there[:, 0]), world.project(there, here[:, 0])


def world_energy(world: World, terms: Sequence[str]) -> Energy | None:
    """E_world, the mean of calibrated uncertainties; None without terms. No other is computed.

    Raises:
        UserError: The world does not have one of the terms.
    """
    known = dict(world.uncertainties) if isinstance(world, HasUncertainties) else {}
    for name in terms:
        if name not in known and name not in UNCERTAINTIES.builtin:
            known[name] = UNCERTAINTIES.find(name).make()
    if missing := [name for name in terms if name not in known]:
        raise UserError(
            f"Expected a checkpoint with the world energy {', '.join(missing)}, got one with "
            f"{', '.join(known) or 'none'}; plan with 'task.world_energy=[{','.join(known)}]'"
        )
    energies = [UncertaintyPenalty(*known[name]) for name in terms]
    return MeanEnergy(energies) if energies else None


def task_objective(
    world: World, task: TaskConfig, goal_energy: EnergyTowards | None = None
) -> Pursuit:
    """From goal latents ``[B, N, D]`` to the energy and the prior with which a task is pursued.

    Args:
        world: Has learned the terms of the energy and the prior.
        task: Says which of them count, and how much.
        goal_energy: What E_goal is; None for the one that the task names.

    Raises:
        UserError: The task asks for an energy, a prior or an uncertainty that the world lacks.
    """
    penalty = world_energy(world, task.world_energy)
    hindsight = _hindsight(world) if task.prior else None
    closeness = _closeness(world, task) if hindsight is not None and goal_energy is None else 0.0
    if goal_energy is None:
        goal_energy = task_energy(world, task)

    def objective(goal_latents: Tensor, with_proprio: Tensor | bool | None = None) -> Objective:
        counts = task.goal_proprio if with_proprio is None else with_proprio
        energy: Total = TotalEnergy(goal_energy(goal_latents, counts), penalty, task.goal_weight)
        if task.rescore:
            rough = _hindsight(world).goal_energy(goal_latents, counts, critics=1)
            energy = CoarseToFine(energy, rough, task.rescore)
        if hindsight is None:
            return Objective(energy)
        prior = hindsight.prior(goal_latents, counts, noise=task.prior_noise)
        if task.margin is None:
            return Objective(energy, prior)
        referee: Referee = hindsight.referee(goal_latents, counts, task.margin)
        if closeness:
            nearest = _nearest(world, goal_latents)
            referee = ApproachReferee(referee, nearest, closeness)
        return Objective(energy, prior, referee)

    return objective


def task_energy(world: World, task: TaskConfig) -> EnergyTowards:
    """The E_goal that the task names.

    Raises:
        UserError: The world has not learned it.
    """
    made: EnergyTowards = GOAL_ENERGIES.find(task.energy).make(world, task)
    return made


def latent_energy(world: World, task: TaskConfig) -> EnergyTowards:
    """``energy=latent``: the distance of imagined latents to the goal's."""
    shown = _shown(world)

    def energy(goal_latents: Tensor, with_proprio: Tensor | bool | None = None) -> GoalEnergy:
        return LatentDistance(goal_latents, task.metric, task.reduce, shown)

    return energy


def _shown(world: World) -> Tensor | None:
    """What of latents a goal image shows, 0 or 1 ``[D]``; None for all."""
    shown = world.visible if isinstance(world, ShowsPart) else None
    return None if shown is None or bool(shown.all()) else shown


def _nearest(world: World, goal_latents: Tensor) -> LatentDistance:
    """How near, squared, paths come to goals."""
    return LatentDistance(goal_latents, "l2", "closest", _shown(world))


def _closeness(world: World, task: TaskConfig) -> float:
    """Imagined steps that a latent distance of 1 counts as.

    Raises:
        UserError: The world does not know how far a step goes.
    """
    if not task.closeness or task.energy != "value":
        return 0.0
    step = _hindsight(world).typical_step
    if step:
        return task.closeness / step
    raise UserError(
        "Expected a checkpoint that remembers moments of its data, got one that does not, so how "
        "far an imagined step goes is unknown; plan with task.closeness=0"
    )


def proprio_energy(world: World, task: TaskConfig) -> EnergyTowards:
    """``energy=proprio``: the latent distance of the robot's own part, whatever the objects do.

    Raises:
        UserError: The world does not tell robot and objects apart.
    """
    if not isinstance(world, ShowsRobot):
        raise UserError(
            "Expected a checkpoint whose latents tell robot and objects apart, got one of other "
            "latents; plan with task.energy=latent"
        )
    part = world.robot_part

    def energy(goal_latents: Tensor, with_proprio: Tensor | bool | None = None) -> GoalEnergy:
        return LatentDistance(goal_latents, task.metric, task.reduce, part)

    return energy


def value_energy(world: World, task: TaskConfig) -> EnergyTowards:
    """``energy=value``: the cost-to-go that was learned in hindsight; and ``closeness``, if any."""
    learned = partial(_hindsight(world).goal_energy, pessimism=task.pessimism)
    closeness = _closeness(world, task)

    def energy(goal_latents: Tensor, with_proprio: Tensor | bool | None = None) -> GoalEnergy:
        cost = learned(goal_latents, task.goal_proprio if with_proprio is None else with_proprio)
        if not closeness:
            return cost
        return Approach(cost, _nearest(world, goal_latents), closeness)

    return energy


def reachability_energy(world: World, task: TaskConfig) -> EnergyTowards:
    """``energy=reachability``: the temporal distance that was learned in hindsight."""
    learned = _hindsight(world).reachability_energy

    def energy(goal_latents: Tensor, with_proprio: Tensor | bool | None = None) -> GoalEnergy:
        return learned(goal_latents, task.goal_proprio if with_proprio is None else with_proprio)

    return energy


def _hindsight(world: World) -> Hindsight:
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
