"""Half learned, half true: the planner with one half of its imagination replaced by the simulator.

- ``true_dynamics``: futures are simulated, rendered and encoded; E_goal is the learned one.
- ``true_cost``: futures are imagined; E_goal is the task's true cost of what is read off them.

Each shares one half with the planner and the other with ``OraclePolicy``, so the half
that a failure comes from is the one whose replacement removes it. Both are privileged. They search
as the planner does, with the same settings and the prior's proposals.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from worldmodel.agents.agent import Recipe
from worldmodel.agents.hierarchy import action_search
from worldmodel.agents.objective import task_objective
from worldmodel.agents.planner import make_planner
from worldmodel.agents.policies import Policy, search_agent
from worldmodel.agents.world import CameraWorld, Grounded
from worldmodel.dynamics.probe import PositionProbe, fit_probe
from worldmodel.envs import collect_episode
from worldmodel.envs.protocol import Simulator
from worldmodel.evaluation.oracle import cost_to_come
from worldmodel.evaluation.simulator import of_one_episode, true_futures
from worldmodel.planners import Futures
from worldmodel.predictors.imagination import Imagined

__all__ = ["RenderedWorld", "StateEnergy", "object_probe", "true_cost", "true_dynamics"]

_LENGTH = 50  # frames of an exploration episode


def true_dynamics(environment: Simulator, agent: Recipe) -> Policy:
    """The planner, for one episode, with its simulator as the dynamics; E_world is off.

    Of a planner on two time scales these are the low level's dynamics.
    """
    world, task = agent.world, replace(agent.task, world_energy=())
    planner = make_planner(world, task, agent.planner, *agent.bounds)
    rendered = RenderedWorld(environment, world)
    return search_agent(rendered, task_objective(world, task), task, planner)


class RenderedWorld:
    """A learned world whose futures are the true ones, seen by the camera and encoded.

    It tells the futures of one episode, that of the simulator, from where that is.
    """

    def __init__(self, environment: Simulator, world: CameraWorld) -> None:
        self._environment = environment
        self._world = world

    @property
    def stride(self) -> int:
        """Control steps per imagined step, the learned world's."""
        return self._world.stride

    def encode(self, frames: Tensor) -> Tensor:
        """The learned world's latents ``[B, T, N, D]``."""
        return self._world.encode(frames)

    def project(self, latents: Tensor, reference: Tensor) -> Tensor:
        """The learned world's comparison."""
        return self._world.project(latents, reference)

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        """Simulate, whatever the context; all frames of a population are encoded in one batch.

        Raises:
            ValueError: The candidates ``[1, S, H, A]`` are of several episodes.
        """
        seen = true_futures(self._environment, actions, self.stride, self._look)
        frames, poses = (torch.from_numpy(np.stack(part)) for part in zip(*seen, strict=True))
        poses = poses.to(states)
        goal = torch.from_numpy(self._environment.goal_image)[None, None]
        look = self._world.encode(goal)[:, 0]
        futures = self._world.project(self._world.encode(frames[None]), look)[0]
        if isinstance(self._world, Grounded):
            futures = self._world.grounded(futures, poses)
        shape = (1, actions.shape[1], -1)
        return Imagined(
            futures.unflatten(0, shape),
            poses.unflatten(0, shape),
            actions,
            latents[:, -1],
            states[:, -1],
        )

    def _look(self) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        return self._environment.camera_image(), self._environment.proprioception()


def true_cost(environment: Simulator, agent: Recipe, probe: PositionProbe) -> Policy:
    """The planner, for one episode, with the task's true cost as E_goal; E_world is the task's.

    Of a planner on two time scales it is the low level alone: sub-goals have no true cost.
    """
    energy, world, task = StateEnergy(environment, probe), agent.world, agent.task
    objective = task_objective(world, task, lambda goal_latents, with_proprio=None: energy)
    search = make_planner(world, task, action_search(agent.planner), *agent.bounds)
    return search_agent(world, objective, task, search)


class StateEnergy:
    """The task's true cost of imagined futures, in units of the distance that counts as success.

    The arm is where it is imagined to be, the object where a probe reads it in imagined latents.
    The unit gives the cost about the size of a learned value, so that λ weighs it likewise.

    Args:
        environment: The episode's simulator; its goal is read, its state is not.
        probe: Reads the object's position.
    """

    def __init__(self, environment: Simulator, probe: PositionProbe) -> None:
        self._environment = environment
        self._probe = probe

    def __call__(self, trajectory: Futures) -> Tensor:
        """Energies ``[1, S]``: mean cost on the way plus the cost in the end.

        Raises:
            ValueError: The trajectory is of several episodes, but there is one goal.
        """
        tool = of_one_episode(trajectory.states)
        object_position = self._probe(of_one_episode(trajectory.latents))
        costs = self._environment.cost_at(tool.double().numpy(), object_position.double().numpy())
        units = torch.from_numpy(costs / self._environment.success_distance)
        return cost_to_come(units.to(tool))[None]


@torch.inference_mode()
def object_probe(
    world: CameraWorld, task: str, episodes: int, appearance: str = "plain"
) -> tuple[PositionProbe, float]:
    """A probe that reads the object's position in a world's latents, the same one every time.

    It is fitted to exploration of the task's scene, with the seeds that ``collect`` starts from.

    Args:
        world: Whose latents.
        task: Name of the task.
        appearance: Of the scene; if rich, the looks are those for training.
        episodes: How many to explore, 2 at least; the last tenth judges the probe.

    Returns:
        The probe, and its mean error in those frames (cm).
    """
    latents: list[Tensor] = []
    positions: list[Tensor] = []
    for seed in tqdm(range(episodes), desc="probe", unit="episode"):
        episode = collect_episode(task, seed, _LENGTH, world.image_size, appearance)
        encoded = world.encode(torch.from_numpy(episode.frames)[None])
        seen = world.project(encoded, encoded[:, -1])[0]
        if isinstance(world, Grounded):
            seen = world.grounded(seen, torch.from_numpy(episode.states))
        latents.append(seen)
        positions.append(torch.from_numpy(episode.objects))
    known, true = torch.cat(latents), torch.cat(positions)
    fitting = _LENGTH * min(episodes - 1, round(0.9 * episodes))
    probe = fit_probe(known, true, torch.arange(fitting))
    error = (probe(known[fitting:]) - true[fitting:]).norm(dim=-1).mean()
    return probe, 100 * float(error)
