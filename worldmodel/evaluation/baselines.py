"""What every planner is reported against, on the same episodes.

- ``random``: uniform actions.
- ``ignore_object``: the gripper to its pose at the goal; reads that pose from the simulator.
- ``prior``: the policy prior alone, asked anew at every step.
- ``no_prior``: the planner without the prior's proposals.
- ``no_world_energy``: the planner without E_world.
- ``no_closeness``: the planner with the value alone as E_goal.
- ``no_margin``: the planner that does what is of lowest energy, however little that gains.
- ``latent_distance``: the planner with latent distance as E_goal.
- ``latent_distance_alone``: the same without the prior, which is learned with the value.
- ``flat``: the planner without sub-goals, its low level alone.
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

from worldmodel.agents.agent import Recipe
from worldmodel.agents.environment import Environment, capable
from worldmodel.agents.hierarchy import action_search
from worldmodel.agents.objective import Hindsight
from worldmodel.agents.planner import follows_gradients
from worldmodel.agents.policies import Policy, prior_agent
from worldmodel.envs import TASKS
from worldmodel.envs.protocol import Simulator
from worldmodel.errors import EnvironmentContractError, UserError, nearest
from worldmodel.evaluation.controllers import RandomPolicy, ToGoalPose
from worldmodel.evaluation.crossed import object_probe, true_cost, true_dynamics
from worldmodel.evaluation.oracle import OracleConfig, OraclePolicy
from worldmodel.evaluation.parallel import PolicyOn, Scene
from worldmodel.predictors.worlds import AnyWorld

__all__ = [
    "BASELINES",
    "SIMULATED",
    "Comparison",
    "NotApplicableError",
    "OnSimulator",
    "chosen",
    "require_applicable",
]


class NotApplicableError(Exception):
    """Why a baseline says nothing here; the report carries it as a note."""


@dataclass(frozen=True)
class Comparison:
    """What the baselines are variations of.

    Attributes:
        agent: World, task and planner that they are reported against.
        environments: Those that the episodes run in.
        random_world: World model on an untrained encoder, if there is one.
        oracle: Of the baselines that are given the simulator.
        seed: Of everything random in a policy.
        own_goals: Whether the episodes pursue the environment's own goals.
    """

    agent: Recipe
    environments: Sequence[Environment]
    random_world: AnyWorld | None = None
    oracle: OracleConfig = field(default_factory=OracleConfig)
    seed: int = 0
    own_goals: bool = True

    @property
    def simulators(self) -> list[Simulator]:
        """The environments, where their truth can be read, and their states are poses.

        Raises:
            NotApplicableError: They are others.
        """
        if not self.agent.spec.composed or self.agent.spec.repeat > 1:
            raise NotApplicableError("it moves poses of a simulator, one step at a time")
        try:
            return [capable(env, Simulator, "it") for env in self.environments]
        except EnvironmentContractError as error:
            raise NotApplicableError(str(error)) from error

    @property
    def scene(self) -> Scene:
        """What the episodes' environments are made of.

        Raises:
            NotApplicableError: Nobody knows: they were not made by name. Or goals are others'.
        """
        _ = self.simulators
        if not self.own_goals:
            raise NotApplicableError("it needs the environment's own goals")
        first = self.environments[0].unwrapped
        name, size = getattr(first, "task", None), getattr(first, "image_size", None)
        if name is None or size is None:
            raise NotApplicableError("its episodes need an environment that can be made by name")
        look = getattr(first, "appearance", "plain"), getattr(first, "split", "test")
        return str(name), int(size), *look

    @property
    def recordable(self) -> Scene:
        """The scene, where its exploration can be recorded.

        Raises:
            NotApplicableError: It is not the built-in arm's.
        """
        if self.scene[0] not in TASKS:
            raise NotApplicableError("its probe is fitted to recordings of the built-in arm")
        return self.scene

    def pursuing(self, **changes: Any) -> Policy:
        """The agent with the task pursued in another way."""
        return replace(self.agent, task=replace(self.agent.task, **changes)).batched()


def _random(setting: Comparison) -> Policy:
    searched = action_search(setting.agent.planner).active_dims
    return RandomPolicy(setting.agent.bounds.only(searched), setting.seed)


def _ignore_object(setting: Comparison) -> Policy:
    return ToGoalPose(setting.simulators, setting.agent.bounds)


def _prior(setting: Comparison) -> Policy:
    agent = setting.agent
    if not isinstance(agent.world, Hindsight):
        raise NotApplicableError("the checkpoint has no policy prior")
    return prior_agent(agent.world, agent.task, agent.planner, agent.bounds)


def _no_prior(setting: Comparison) -> Policy:
    if not setting.agent.task.prior:
        raise NotApplicableError("the planner uses no prior for this task")
    return setting.pursuing(prior=False)


def _no_world_energy(setting: Comparison) -> Policy:
    if not setting.agent.task.world_energy:
        raise NotApplicableError("the planner has no world energy here")
    return setting.pursuing(world_energy=())


def _no_closeness(setting: Comparison) -> Policy:
    if not setting.agent.task.closeness:
        raise NotApplicableError("the planner counts no closeness here")
    return setting.pursuing(closeness=0.0)


def _no_margin(setting: Comparison) -> Policy:
    if setting.agent.task.margin is None:
        raise NotApplicableError("the planner asks for no margin here")
    return setting.pursuing(margin=None)


def _with_energy(setting: Comparison, energy: str) -> Policy:
    if setting.agent.task.energy == energy:
        raise NotApplicableError(f"task.energy={energy} is what the planner itself minimises")
    if energy != "latent" and not isinstance(setting.agent.world, Hindsight):
        raise NotApplicableError(f"the checkpoint has no {energy}")
    return setting.pursuing(energy=energy)


def _latent_distance(setting: Comparison) -> Policy:
    return _with_energy(setting, "latent")


def _latent_distance_alone(setting: Comparison) -> Policy:
    flat = replace(setting.agent, task=replace(setting.agent.task, prior=False))
    return _latent_distance(replace(setting, agent=flat))


def _flat(setting: Comparison) -> Policy:
    flat = action_search(setting.agent.planner)
    if flat is setting.agent.planner:
        raise NotApplicableError("the planner has no sub-goals")
    return replace(setting.agent, planner=flat).batched()


def _random_encoder(setting: Comparison) -> Policy:
    if setting.random_world is None:
        raise NotApplicableError("give the checkpoint with random_encoder_checkpoint=path")
    return replace(setting.agent, world=setting.random_world).batched()


class OnSimulator(NamedTuple):
    """A baseline that plans on the simulator of its episode.

    Attributes:
        policy_on: Makes the policy of an episode.
        facts: What the report says of it beside its results.
    """

    policy_on: PolicyOn
    facts: Mapping[str, Any]


def _true_dynamics(setting: Comparison) -> OnSimulator:
    agent = setting.agent
    if follows_gradients(action_search(agent.planner)):
        raise NotApplicableError("no gradient passes through the simulator")
    return OnSimulator(partial(true_dynamics, agent=agent), {})


def _true_cost(setting: Comparison) -> OnSimulator:
    agent = setting.agent
    task, _, appearance, _ = setting.recordable
    episodes = setting.oracle.probe_episodes
    probe, error = object_probe(agent.world, task, episodes, appearance)
    made = partial(true_cost, agent=agent, probe=probe)
    return OnSimulator(made, {"probe_cm": error})


def _oracle(setting: Comparison) -> OnSimulator:
    planner = replace(setting.oracle.planner, active_dims=setting.agent.task.active_dims)
    made = partial(OraclePolicy, planner=planner, bounds=setting.agent.bounds)
    return OnSimulator(made, {"planner": asdict(planner)})


BASELINES: dict[str, Callable[[Comparison], Policy]] = {
    "random": _random,
    "ignore_object": _ignore_object,
    "prior": _prior,
    "no_prior": _no_prior,
    "no_world_energy": _no_world_energy,
    "no_closeness": _no_closeness,
    "no_margin": _no_margin,
    "latent_distance": _latent_distance,
    "latent_distance_alone": _latent_distance_alone,
    "flat": _flat,
    "value": partial(_with_energy, energy="value"),
    "reachability": partial(_with_energy, energy="reachability"),
    "random_encoder": _random_encoder,
}
SIMULATED: dict[str, Callable[[Comparison], OnSimulator]] = {
    "true_dynamics": _true_dynamics,
    "true_cost": _true_cost,
    "oracle": _oracle,
}
_PRIVILEGED = {
    "ignore_object": "simulators",
    "true_dynamics": "scene",
    "true_cost": "recordable",
    "oracle": "scene",
}
"""What of a `Comparison` each privileged baseline needs."""


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


def require_applicable(names: Sequence[str], setting: Comparison) -> None:
    """Refuse a named baseline that asks for more of the simulator than there is.

    Raises:
        UserError: It does; ``all`` leaves it out instead, with a note.
    """
    if "all" in names:
        return
    for name in names:
        try:
            if name in _PRIVILEGED:
                getattr(setting, _PRIVILEGED[name])
        except NotApplicableError as reason:
            raise UserError(
                f"baseline {name} does not apply: {reason}; leave it out, or give baselines=[all], "
                "which leaves out what does not apply"
            ) from reason
