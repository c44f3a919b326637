"""Textbook CEM: the yardstick that a faster planner is measured against.

It is what a first implementation does, and deliberately no more: white noise, a fresh Gaussian for
every plan, the best candidate of the last iteration returned; and for every candidate and every
imagined step, the whole context runs through the model again. It is not for use: it has no warm
start, no policy prior, no deadline, and no answer to NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.planners.box import ActionBox
from worldmodel.planners.optimizers.cem import CEMConfig
from worldmodel.planners.problem import Plan, Problem
from worldmodel.planners.protocols import Trajectory
from worldmodel.planners.timing import Stopwatch

__all__ = ["PlainCEM", "imagine_afresh"]


@dataclass(frozen=True)
class _Imagined:
    latents: Tensor
    states: Tensor
    actions: Tensor
    start_latents: Tensor
    start_states: Tensor
    members: Tensor | None


class PlainCEM:
    """CEM (Rubinstein and Kroese, 2004) without any of the tricks of ``planners.optimizers.cem``.

    Args:
        config: Of this, samples, iterations, horizon, elites, std, receding_horizon and active_dims
            count.
        low: Lower action bounds ``[A]``, physical units.
        high: Upper action bounds ``[A]``.
        rest: What an action is where it is not searched, ``[A]``; None for zero.
    """

    def __init__(
        self, config: CEMConfig, low: Tensor, high: Tensor, rest: Tensor | None = None
    ) -> None:
        box = ActionBox(low, high, config.active_dims, rest)
        self.config = config
        self._low, self._high = box.low, box.high

    @property
    def receding_horizon(self) -> int:
        """Steps of a plan to carry out before planning again."""
        return self.config.receding_horizon

    def init(self, batch: int, after: None = None) -> None:
        """No state."""

    def shift(self, state: None, steps: int) -> None:
        """No state."""

    @torch.inference_mode()
    def plan(
        self,
        problem: Problem,
        state: None,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
        profile: bool = False,
    ) -> tuple[Plan, None]:
        """Search; see ``planners.problem.Planner.plan``."""
        if deadline is not None:
            raise ValueError("Expected no deadline, which the plain baseline cannot keep; use CEM")
        config, watch = self.config, Stopwatch(problem.latents.device, profile)
        batch, width = len(problem.latents), len(self._low)
        mean = self._low.new_zeros(batch, config.horizon, width)
        std = (config.std * (self._high - self._low) / 2).expand_as(mean)
        shape = (batch, config.samples, config.horizon, width)
        rounds: list[tuple[Tensor, Tensor, dict[str, Tensor]]] = []
        for _ in range(config.iterations):
            noise = torch.randn(shape, generator=generator, device=mean.device)
            candidates = (mean[:, None] + std[:, None] * noise).clamp(self._low, self._high)
            watch.lap("update")
            trajectory = imagine_afresh(problem, candidates)
            watch.lap("rollout")
            energy, terms = problem.energy(trajectory)
            watch.lap("energy")
            lowest, index = energy.topk(config.elites, largest=False)
            elites = candidates.take_along_dim(index[:, :, None, None], 1)
            mean, std = elites.mean(1), elites.std(1, correction=0)
            breakdown = {k: v.take_along_dim(index, 1)[:, 0] for k, v in terms.items()}
            rounds.append((elites[:, 0], lowest[:, 0], breakdown))
            watch.lap("update")
        trace = torch.stack([best for _, best, _ in rounds], 1)
        nonfinite = int((~torch.isfinite(trace)).sum())
        return Plan(*rounds[-1], trace, nonfinite, watch.seconds), None


def imagine_afresh(problem: Problem, candidates: Tensor) -> Trajectory:
    """Roll out step by step, each candidate with a context of its own that runs again every step.

    Equals ``world.rollout`` up to rounding for a single model. The members of an ensemble start
    every step from the same latents here, and so disagree less.
    """
    batch, samples, horizon, _ = candidates.shape
    stride = problem.world.stride
    latents = problem.latents.repeat_interleave(samples, 0)
    states = problem.states.repeat_interleave(samples, 0)
    context = latents.shape[1]
    members: list[Tensor] = []
    for start in range(0, horizon, stride):
        actions = candidates[:, :, start : start + stride].flatten(0, 1)[:, None]
        step = problem.world.rollout(latents, states, actions)
        latents = torch.cat([latents, step.latents[:, 0]], 1)
        states = torch.cat([states, step.states[:, 0]], 1)
        if step.members is not None:
            members.append(step.members[:, :, 0])

    shape = (batch, samples)
    return _Imagined(
        latents[:, context:].unflatten(0, shape),
        states[:, context:].unflatten(0, shape),
        candidates,
        problem.latents[:, -1],
        problem.states[:, -1],
        torch.cat(members, 2).unflatten(1, shape) if members else None,
    )
