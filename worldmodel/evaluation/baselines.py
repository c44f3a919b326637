"""What every planner is reported against, on the same episodes.

- ``random``: uniform actions.
- ``ignore_object``: the gripper to its pose at the goal; reads that pose from the simulator.
- ``prior``: the policy prior alone, asked anew at every step.
- ``no_prior``: the planner without the prior's proposals.
- ``no_world_energy``: the planner without E_world.
- ``latent_distance``: the planner with latent distance as E_goal.
- ``latent_distance_alone``: the same without the prior, which is learned with the value.
- ``flat``: the planner without sub-goals, its fast level alone.
- ``value``: the planner with the hindsight value as E_goal.
- ``reachability``: the planner with the learned temporal distance as E_goal.
- ``random_encoder``: the planner on the checkpoint of an untrained encoder of the same shape.
- ``true_dynamics``: the planner with true dynamics; see ``worldmodel.evaluation.crossed``.
- ``true_cost``: the planner with a true goal energy, likewise.
- ``oracle``: a search on the true simulator and state; see ``worldmodel.evaluation.oracle``.

``ignore_object`` and the last three are privileged: they read the simulator's state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from worldmodel.agents.hierarchy import PlannerConfig, action_search
from worldmodel.agents.policies import (
    CameraWorld,
    Hindsight,
    Policy,
    RandomPolicy,
    ToGoalPose,
    planning_agent,
    prior_agent,
)
from worldmodel.agents.task import TaskConfig
from worldmodel.envs import TabletopEnv
from worldmodel.errors import UserError, nearest
from worldmodel.evaluation.crossed import object_probe, true_cost, true_dynamics
from worldmodel.evaluation.oracle import OracleConfig, OraclePolicy
from worldmodel.evaluation.parallel import PolicyOn
from worldmodel.planners import follows_gradients

__all__ = ["BASELINES", "SIMULATED", "NotApplicableError", "OnSimulator", "Setting", "chosen"]


class NotApplicableError(Exception):
    """Why a baseline says nothing here; the report carries it as a note."""


@dataclass(frozen=True)
class Setting:
    """What the baselines are variations of.

    Attributes:
        world: World model of the planner.
        task: Task, with its energy.
        planner: Search settings.
        environments: Those that the episodes run in.
        random_world: World model on an untrained encoder, if there is one.
        oracle: Of the baselines that are given the simulator.
        seed: Of everything random in a policy.
        appearance: Of the environments.
    """

    world: CameraWorld
    task: TaskConfig
    planner: PlannerConfig
    environments: Sequence[TabletopEnv]
    random_world: CameraWorld | None = None
    oracle: OracleConfig = field(default_factory=OracleConfig)
    seed: int = 0
    appearance: str = "plain"

    def agent(self, task: TaskConfig) -> Policy:
        """The planner of this setting with the task pursued in another way."""
        return planning_agent(self.world, task, self.planner)


def _random(setting: Setting) -> Policy:
    return RandomPolicy(action_search(setting.planner).active_dims, setting.seed)


def _ignore_object(setting: Setting) -> Policy:
    return ToGoalPose(setting.environments)


def _prior(setting: Setting) -> Policy:
    if not isinstance(setting.world, Hindsight):
        raise NotApplicableError("the checkpoint has no policy prior")
    return prior_agent(setting.world, setting.task, setting.planner)


def _no_prior(setting: Setting) -> Policy:
    if not setting.task.prior:
        raise NotApplicableError("the planner uses no prior for this task")
    return setting.agent(replace(setting.task, prior=False))


def _no_world_energy(setting: Setting) -> Policy:
    if not setting.task.world_energy:
        raise NotApplicableError("the planner has no world energy here")
    return setting.agent(replace(setting.task, world_energy=()))


def _with_energy(setting: Setting, energy: str) -> Policy:
    if setting.task.energy == energy:
        raise NotApplicableError(f"task.energy={energy} is what the planner itself minimises")
    if energy != "latent" and not isinstance(setting.world, Hindsight):
        raise NotApplicableError(f"the checkpoint has no {energy}")
    return setting.agent(replace(setting.task, energy=energy))


def _latent_distance(setting: Setting) -> Policy:
    return _with_energy(setting, "latent")


def _latent_distance_alone(setting: Setting) -> Policy:
    return _latent_distance(replace(setting, task=replace(setting.task, prior=False)))


def _flat(setting: Setting) -> Policy:
    flat = action_search(setting.planner)
    if flat is setting.planner:
        raise NotApplicableError("the planner has no sub-goals")
    return planning_agent(setting.world, setting.task, flat)


def _random_encoder(setting: Setting) -> Policy:
    if setting.random_world is None:
        raise NotApplicableError("give the checkpoint with random_encoder_checkpoint=path")
    return planning_agent(setting.random_world, setting.task, setting.planner)


class OnSimulator(NamedTuple):
    """A baseline that plans on the simulator of its episode.

    Attributes:
        policy_on: Makes the policy of an episode.
        facts: What the report says of it beside its results.
    """

    policy_on: PolicyOn
    facts: Mapping[str, Any]


def _true_dynamics(setting: Setting) -> OnSimulator:
    world, task, planner = setting.world, setting.task, setting.planner
    if follows_gradients(action_search(planner)):
        raise NotApplicableError("no gradient passes through the simulator")
    return OnSimulator(partial(true_dynamics, world=world, task=task, planner=planner), {})


def _true_cost(setting: Setting) -> OnSimulator:
    world, task, planner = setting.world, setting.task, setting.planner
    probe, error = object_probe(world, task.name, setting.oracle.probe_episodes, setting.appearance)
    made = partial(true_cost, world=world, task=task, planner=planner, probe=probe)
    return OnSimulator(made, {"probe_cm": error})


def _oracle(setting: Setting) -> OnSimulator:
    planner = replace(setting.oracle.planner, active_dims=setting.task.active_dims)
    return OnSimulator(partial(OraclePolicy, planner=planner), {"planner": asdict(planner)})


BASELINES: dict[str, Callable[[Setting], Policy]] = {
    "random": _random,
    "ignore_object": _ignore_object,
    "prior": _prior,
    "no_prior": _no_prior,
    "no_world_energy": _no_world_energy,
    "latent_distance": _latent_distance,
    "latent_distance_alone": _latent_distance_alone,
    "flat": _flat,
    "value": partial(_with_energy, energy="value"),
    "reachability": partial(_with_energy, energy="reachability"),
    "random_encoder": _random_encoder,
}
SIMULATED: dict[str, Callable[[Setting], OnSimulator]] = {
    "true_dynamics": _true_dynamics,
    "true_cost": _true_cost,
    "oracle": _oracle,
}


def chosen(names: Sequence[str]) -> list[str]:
    """The baselines asked for; ``all`` means every one.

    Raises:
        UserError: There is no such baseline.
    """
    known = [*BASELINES, *SIMULATED]
    for name in names:
        if name not in (*known, "all"):
            raise UserError(f"unknown baseline '{name}'; {nearest(name, known)}")
    return known if "all" in names else list(dict.fromkeys(names))
