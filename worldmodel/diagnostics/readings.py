"""Every goal energy of true and of imagined moments of a task, as a world sees them.

For diagnosis: the arm's part of what is seen is told by the simulator's state, as in imagination.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.agents.objective import EnergyTowards, Hindsight, task_energy
from worldmodel.agents.task import TaskConfig
from worldmodel.agents.world import CameraWorld, Grounded
from worldmodel.diagnostics.trials import Fork, Moment, Trial, views
from worldmodel.envs.protocol import Simulator
from worldmodel.evaluation.episodes import SEED_OFFSET
from worldmodel.planners import METRICS, GoalEnergy, Moments

__all__ = ["SHAPED_COST", "Reading", "goal_energies", "read"]

SHAPED_COST = "shaped_cost"
"""The task's own cost of true states, read beside the energies for comparison."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """What the energies, by name, are of one task.

    Attributes:
        trial: The task.
        path: Along the expert's solution, ``[T]`` each.
        ends: Of where the candidates of every fork lead, as truly seen, ``[S]`` each.
        imagined: Of where they are imagined to lead, ``[S]`` each; the true cost is not imagined.
    """

    trial: Trial
    path: Mapping[str, Array]
    ends: tuple[Mapping[str, Array], ...]
    imagined: tuple[Mapping[str, Array], ...]


def goal_energies(world: CameraWorld, task: TaskConfig) -> dict[str, EnergyTowards]:
    """Every goal energy that a world offers for a task, by name, from goal latents."""
    tasks = {
        f"latent_{metric}": replace(task, energy="latent", metric=metric, reduce="final")
        for metric in METRICS
    }
    if isinstance(world, Hindsight):
        tasks |= {name: replace(task, energy=name) for name in ("reachability", "value")}
    return {name: task_energy(world, pursued) for name, pursued in tasks.items()}


def read(
    env: Simulator, world: CameraWorld, energies: Mapping[str, EnergyTowards], trial: Trial
) -> Reading:
    """Look at a task in the appearance that ``env`` wears for it."""
    observation, _ = env.reset(seed=SEED_OFFSET + trial.seed)
    images = (torch.from_numpy(observation[name])[None, None] for name in ("image", "goal"))
    start, look = (world.encode(image) for image in images)
    goal = world.project(look, start[:, 0])[:, 0]
    towards = {name: energy(goal) for name, energy in energies.items()}
    sight = _Sight(env, world, towards, look[:, 0])
    return Reading(
        trial,
        sight.seen(trial.path),
        tuple(sight.seen(fork.ends) for fork in trial.forks),
        tuple(sight.imagined(fork) for fork in trial.forks),
    )


class _Sight:
    """Energies towards one goal of what the camera shows and of what the world imagines."""

    def __init__(
        self, env: Simulator, world: CameraWorld, energies: Mapping[str, GoalEnergy], look: Tensor
    ) -> None:
        self._env, self._world, self._energies, self._look = env, world, energies, look

    def seen(self, moments: Sequence[Moment]) -> dict[str, Array]:
        """Energies of true moments, ``[n]`` each, and their shaped cost."""
        costs = np.array([moment.cost for moment in moments])
        return {**self._of(*self._encoded(moments)), SHAPED_COST: costs}

    def imagined(self, fork: Fork) -> dict[str, Array]:
        """Energies of where candidates are imagined to lead, ``[S]`` each."""
        latents, states = self._encoded([fork.start])
        futures = self._world.rollout(
            latents[None], states[None], torch.from_numpy(fork.actions)[None]
        )
        return self._of(futures.latents[0, :, -1], futures.states[0, :, -1])

    def _encoded(self, moments: Sequence[Moment]) -> tuple[Tensor, Tensor]:
        """Latents ``[n, N, D]`` and states ``[n, P]``."""
        frames = torch.from_numpy(views(self._env, moments))
        states = torch.from_numpy(np.stack([moment.state for moment in moments]))
        latents = self._world.project(self._world.encode(frames[None]), self._look)[0]
        if isinstance(self._world, Grounded):
            latents = self._world.grounded(latents, states)
        return latents, states

    def _of(self, latents: Tensor, states: Tensor) -> dict[str, Array]:
        moments = Moments(latents[None, :, None], states[None, :, None])
        return {
            name: energy(moments)[0].double().numpy() for name, energy in self._energies.items()
        }
