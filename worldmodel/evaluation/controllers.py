"""Controls without a world: uniform actions, and a privileged drive to the goal pose."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from worldmodel.agents.planner import Bounds
from worldmodel.envs.protocol import Simulator
from worldmodel.planners import PlanRecord

__all__ = ["RandomPolicy", "ToGoalPose"]


class RandomPolicy:
    """Uniform actions within bounds."""

    def __init__(self, bounds: Bounds, seed: int) -> None:
        self.records: tuple[PlanRecord, ...] = ()
        self._middle = (bounds.low + bounds.high) / 2
        self._half = (bounds.high - bounds.low) / 2
        self._generator = torch.Generator().manual_seed(seed)

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Nothing to reset: every episode goes on with the same stream."""

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """Uniform noise."""
        noise = torch.rand(len(frames), len(self._half), generator=self._generator)
        return self._middle + (2 * noise - 1) * self._half


class ToGoalPose:
    """Drives the gripper straight to its pose at the goal, whatever becomes of the object.

    Privileged: it reads the goal pose from the simulator. Rotations stay as they are.
    """

    def __init__(self, environments: Sequence[Simulator], bounds: Bounds) -> None:
        self.records: tuple[PlanRecord, ...] = ()
        self._environments, self._bounds = environments, bounds

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Nothing to reset: goals are read from the simulator."""

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """The rest of the way, as far as the bounds allow."""
        goals = [torch.from_numpy(env.goal_state) for env in self._environments[: len(frames)]]
        action = torch.stack(goals).float() - states
        action = action.clamp(self._bounds.low, self._bounds.high)
        action[:, 3:6] = 0.0
        return action
