"""The upper bound: the same search with the true simulator as the world and its state as the goal.

Privileged, and slow: every candidate is simulated. It says how much of a task the search itself can
solve within the budget, were the world model and the goal energy perfect.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from envs import ACTION_HIGH, TabletopEnv
from planners import CEM, CEMConfig, CEMState, Plan, PlanRecord, Problem, TotalEnergy, Trajectory
from worldmodel.commands.evaluation import Episode, environments, evaluate
from worldmodel.commands.task import TaskConfig

__all__ = ["OracleConfig", "OraclePolicy", "SimulatorWorld", "oracle_episodes"]


@dataclass(frozen=True)
class OracleConfig:
    """How much of the upper bound to compute.

    Attributes:
        episodes: Episodes, at most as many as the evaluation has.
        workers: Processes; None for one per CPU core.
        planner: Settings of the search; its dimensions are the task's.
    """

    episodes: int = 20
    workers: int | None = None
    planner: CEMConfig = field(
        default_factory=lambda: CEMConfig(
            samples=32, iterations=3, horizon=10, elites=6, correlation=0.7, proposals=0
        )
    )


@dataclass(frozen=True)
class _Simulated:
    latents: Tensor
    states: Tensor
    disagreement: None = None


class SimulatorWorld:
    """A simulator as a world of one episode: the only latent of a step is its true cost (m)."""

    stride = 1

    def __init__(self, environment: TabletopEnv) -> None:
        self._environment = environment

    def encode(self, frames: Tensor) -> Tensor:
        """The simulator has no use for frames."""
        raise NotImplementedError("Expected no frames: the simulator starts from its own state")

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Trajectory:
        """True costs of candidates ``[1, S, H, A]`` from where the simulator is, and back again."""
        _, samples, horizon, _ = actions.shape
        costs = torch.empty(1, samples, horizon, 1, 1)
        start = self._environment.snapshot()
        for sample, sequence in enumerate(actions[0].double().numpy()):
            for step, action in enumerate(sequence):
                self._environment.advance(action)
                costs[0, sample, step] = self._environment.task_cost()
            self._environment.restore(start)
        return _Simulated(costs, states[:, None].expand(-1, samples, horizon, -1))


def cost_to_come(trajectory: Trajectory) -> Tensor:
    """Mean cost on the way plus the cost in the end, ``[B, S]`` (m)."""
    costs = trajectory.latents[..., 0, 0]
    return costs.mean(-1) + costs[..., -1]


class OraclePolicy:
    """Plans one episode on its own simulator."""

    def __init__(self, environment: TabletopEnv, planner: CEMConfig) -> None:
        high = torch.from_numpy(ACTION_HIGH)
        self.records: list[PlanRecord] = []
        self._cem = CEM(planner, -high, high)
        self._problem = Problem(
            SimulatorWorld(environment),
            torch.zeros(1, 1, 1, 1),
            torch.zeros(1, 1, len(high)),
            TotalEnergy(cost_to_come),
        )
        self._generator = torch.Generator()
        self._state: CEMState = self._cem.init(1)
        self._plan: Plan | None = None
        self._step = 0

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Forget the last episode; the goal is the simulator's."""
        self._generator.manual_seed(seed)
        self._state, self._step = self._cem.init(1), 0

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """The next action, ``[1, A]``."""
        turn = self._step % self._cem.execute
        if turn == 0:
            self._plan, state = self._cem.plan(
                self._problem, self._state, generator=self._generator
            )
            self._state = self._cem.shift(state, self._cem.execute)
        self._step += 1
        assert self._plan is not None
        return self._plan.actions[:, turn]


def oracle_episodes(
    task: TaskConfig, seeds: Sequence[int], config: OracleConfig, image_size: int
) -> Iterator[Episode]:
    """Evaluate the upper bound on the first of the seeds, in parallel processes.

    The scenery is plain: a seed's task is the same in any, and nobody looks.

    Yields:
        Episodes in the order of ``seeds``, under the same protocol as every other policy.
    """
    chosen = seeds[: config.episodes]
    workers = min(config.workers or len(os.sched_getaffinity(0)), len(chosen))
    # A forked process would inherit a GL context that it cannot use.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _one_thread) as pool:
        one = partial(_oracle_episode, task, config.planner, image_size)
        yield from pool.map(one, chosen)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _oracle_episode(task: TaskConfig, planner: CEMConfig, image_size: int, seed: int) -> Episode:
    with environments(task.name, 1, image_size) as made:
        (episode,) = evaluate(OraclePolicy(made[0], planner), made, [seed], task)
    return episode
