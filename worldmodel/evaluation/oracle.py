"""The upper bound: a search on the true simulator, with its state as the goal.

Privileged, and slow: every candidate is simulated. It says how much of a task the search itself can
solve within the budget, were the world model and the goal energy perfect.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.agents.planner import Bounds, make_search
from worldmodel.envs.protocol import Simulator
from worldmodel.evaluation.simulator import true_futures
from worldmodel.planners import (
    CEMConfig,
    Futures,
    Plan,
    PlanRecord,
    Problem,
    SearchConfig,
    TotalEnergy,
)
from worldmodel.predictors.imagination import Imagined
from worldmodel.settings import CHECKED, Count, Several, Threads

__all__ = ["OracleConfig", "OraclePolicy", "SimulatorWorld", "cost_to_come"]


@dataclass(frozen=True, config=CHECKED)
class OracleConfig:
    """How much to compute of the baselines that are given the simulator.

    Attributes:
        episodes: Episodes of each, at most as many as the evaluation has.
        workers: Processes; None for one per CPU core.
        planner: Settings of the oracle's search; its dimensions are the task's.
        probe_episodes: Exploration episodes that ``true_cost`` learns to read positions from.
    """

    episodes: Count = 20
    workers: Threads | None = None
    planner: CEMConfig = field(
        default_factory=lambda: CEMConfig(
            samples=32, iterations=3, horizon=10, elites=6, correlation=0.7, proposals=0
        )
    )
    probe_episodes: Several = 120


class SimulatorWorld:
    """A simulator as a world of one episode: the only latent of a step is its true cost (m)."""

    stride = 1

    def __init__(self, environment: Simulator) -> None:
        self._environment = environment

    def encode(self, frames: Tensor) -> Tensor:
        """The simulator has no use for frames."""
        raise NotImplementedError("Expected no frames: the simulator starts from its own state")

    def project(self, latents: Tensor, reference: Tensor) -> Tensor:
        """The latents."""
        return latents

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        """True costs of candidates ``[1, S, H, A]`` from where the simulator is, and back again.

        Raises:
            ValueError: The candidates are of several episodes.
        """
        _, samples, horizon, _ = actions.shape
        look = self._environment.task_cost
        costs = torch.tensor(true_futures(self._environment, actions, self.stride, look))
        held = states[:, None].expand(-1, samples, horizon, -1)
        costs = costs.view(1, samples, horizon, 1, 1)
        return Imagined(costs, held, actions, latents[:, -1], states[:, -1])


def cost_to_come(costs: Tensor) -> Tensor:
    """Mean cost on the way plus the cost in the end, ``[...]`` of ``[..., K]``."""
    return costs.mean(-1) + costs[..., -1]


def _energy(trajectory: Futures) -> Tensor:
    return cost_to_come(trajectory.latents[..., 0, 0])


class OraclePolicy:
    """Plans one episode on its own simulator."""

    def __init__(self, environment: Simulator, planner: SearchConfig, bounds: Bounds) -> None:
        self.records: list[PlanRecord] = []
        self._planner = make_search(planner, *bounds)
        self._problem = Problem(
            SimulatorWorld(environment),
            torch.zeros(1, 1, 1, 1),
            torch.from_numpy(environment.proprioception())[None, None].float(),
            TotalEnergy(_energy),
        )
        self._generator = torch.Generator()
        self._state: Any = self._planner.init(1)
        self._plan: Plan | None = None
        self._step = 0

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Forget the last episode; the goal is the simulator's."""
        self._generator.manual_seed(seed)
        self._state, self._step = self._planner.init(1), 0

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """The next action, ``[1, A]``."""
        turn = self._step % self._planner.receding_horizon
        if turn == 0:
            self._plan, state = self._planner.plan(
                self._problem, self._state, generator=self._generator
            )
            self._state = self._planner.shift(state, self._planner.receding_horizon)
        self._step += 1
        assert self._plan is not None
        return self._plan.actions[:, turn]
