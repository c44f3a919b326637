"""Energies of imagined trajectories: small callables that add up to ``E_world + λ·E_goal``.

- ``LatentDistance``: goal energy, distance to goal latents, or along a sequence of sub-goals.
- ``UncertaintyPenalty``: world energy, a model's uncertainty beyond what held-out data showed.
- ``Approach``: a learned cost-to-go, and how near to the goal a path comes.
- ``MeanEnergy``: several energies of one unit, as one.
- ``TotalEnergy``: their sum, and what each contributed.

A learned cost-to-go is one more ``planners.protocols.Energy``; it lives with the model.
Shapes: see ``planners.protocols``; G is the number of goals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from worldmodel.planners.protocols import (
    Energy,
    Futures,
    GoalEnergy,
    Referee,
    Trajectory,
    Uncertainty,
)

__all__ = [
    "METRICS",
    "REDUCTIONS",
    "Approach",
    "ApproachReferee",
    "LatentDistance",
    "MeanEnergy",
    "TotalEnergy",
    "UncertaintyPenalty",
]


def _l1(imagined: Tensor, goal: Tensor) -> Tensor:
    return (imagined - goal).abs().mean((-2, -1))


def _l2(imagined: Tensor, goal: Tensor) -> Tensor:
    return (imagined - goal).square().mean((-2, -1))


def _cosine(imagined: Tensor, goal: Tensor) -> Tensor:
    return 1.0 - F.cosine_similarity(imagined, goal, dim=-1).mean(-1)


METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": _l1,
    "l2": _l2,
    "cosine": _cosine,
}
REDUCTIONS = ("final", "sum", "closest")
_LEAST = 1e-8  # squared distance, below which its root would have too steep a gradient


class LatentDistance:
    """Distance of imagined latents to goal latents.

    Metrics are means over tokens and channels: ``l1`` absolute difference (V-JEPA 2-AC, §4.2 of
    arXiv:2506.09985), ``l2`` squared difference, ``cosine`` one minus the similarity per token.

    Over the imagined steps, ``final`` takes the last one, ``sum`` adds them up and ``closest``
    takes the nearest. With sub-goals, the trajectory must visit them in order: to the above, for
    the last goal, comes the cheapest set of moments at which the earlier ones are approached.

    Args:
        goal: Goal latents ``[B, N, D]``, or sub-goals in order ``[B, G, N, D]``, the last the goal.
        metric: One of ``l1``, ``l2``, ``cosine``.
        reduce: One of ``final``, ``sum``, ``closest``.
        visible: Channels that a goal image shows, 0 or 1 ``[D]``; the others do not count. None for
            all.
    """

    def __init__(
        self,
        goal: Tensor,
        metric: str = "l1",
        reduce: str = "final",
        visible: Tensor | None = None,
    ) -> None:
        if goal.ndim not in (3, 4):
            raise ValueError(
                f"Expected goal latents [B,N,D] or sub-goals [B,G,N,D], got {list(goal.shape)}"
            )
        if metric not in METRICS:
            raise ValueError(f"Expected metric l1, l2 or cosine, got {metric!r}")
        if reduce not in REDUCTIONS:
            raise ValueError(f"Expected reduce final, sum or closest, got {reduce!r}")
        goal = goal if visible is None else goal * visible
        self._goals, self._visible = goal[:, None] if goal.ndim == 3 else goal, visible
        self._metric = METRICS[metric]
        self._reduce = reduce

    def __call__(self, trajectory: Futures) -> Tensor:
        """Energies ``[B, S]``."""
        latents = trajectory.latents
        own = (latents.shape[0], *latents.shape[3:])
        if (given := (self._goals.shape[0], *self._goals.shape[2:])) != own:
            raise ValueError(
                f"Expected goal latents [B,N,D] = {list(own)}, as imagined ones are, got "
                f"{list(given)}; encode goals with the world that plans"
            )
        if self._visible is not None:
            latents = latents * self._visible
        *visits, goal = self._goals[:, None, None].unbind(3)
        visited: Tensor | None = None  # [B,S,K]: cost of having made the visits by each step
        for subgoal in visits:
            here = self._metric(latents, subgoal)
            visited = torch.cummin(here if visited is None else visited + here, dim=-1).values

        if self._reduce == "final":
            latents = latents[:, :, -1:]
        distance = self._metric(latents, goal)
        if self._reduce == "sum":
            total = distance.sum(-1)
            return total if visited is None else total + visited[..., -1]
        return (distance if visited is None else distance + visited).amin(-1)


class Approach:
    """A learned cost-to-go, plus ``closeness`` times how near to the goal a path comes.

    A value knows the way to far goals, and hardly tells the last step from the one before. A
    distance does the reverse: it is the root mean square difference of the closest latents.

    Args:
        cost: Imagined steps to the goal.
        distance: `LatentDistance` of metric ``l2``.
        closeness: Imagined steps that a distance of 1 counts as.
    """

    def __init__(self, cost: GoalEnergy, distance: GoalEnergy, closeness: float) -> None:
        self._cost, self._distance, self._closeness = cost, distance, closeness

    def __call__(self, trajectory: Futures) -> Tensor:
        """Energies ``[B, S]``, in imagined steps."""
        return self._cost(trajectory) + _remaining(self._distance, self._closeness, trajectory)


class ApproachReferee:
    """A referee of a cost-to-go, that of an `Approach`: it counts, too, how much nearer paths come.

    Args:
        referee: Of the cost-to-go.
        distance: As of `Approach`.
        closeness: Likewise.
    """

    def __init__(self, referee: Referee, distance: GoalEnergy, closeness: float) -> None:
        self._referee, self._distance, self._closeness = referee, distance, closeness

    def __call__(self, trajectory: Futures) -> Tensor:
        """Imagined steps gained over the first candidate, less the margin, ``[B, S]``."""
        left = _remaining(self._distance, self._closeness, trajectory)
        return self._referee(trajectory) + left[:, :1] - left


def _remaining(distance: GoalEnergy, closeness: float, trajectory: Futures) -> Tensor:
    """What squared distances count as, in imagined steps."""
    return closeness * distance(trajectory).clamp(min=_LEAST).sqrt()


class UncertaintyPenalty:
    """An uncertainty on a scale set by held-out data: 0 up to q90, 1 at q99, then linear.

    Being zero where the model errs as little as on known data, it does not pull plans towards the
    familiar; being in units of the known spread, its weight carries over from model to model, and
    from one uncertainty to another.

    Args:
        uncertainty: Of the model that imagines.
        q90: 90 % quantile of the uncertainty on held-out data; a number, or one per imagined step
            ``[K]``, since uncertainties grow along a rollout.
        q99: 99 % quantile, likewise.
    """

    def __init__(self, uncertainty: Uncertainty, q90: float | Tensor, q99: float | Tensor) -> None:
        spread = q99 - q90
        if not bool(torch.as_tensor(spread > 0).all()):
            raise ValueError(
                f"Expected q99 above q90, got q90={q90}, q99={q99}; calibrate on more held-out data"
            )
        self._uncertainty = uncertainty
        self._q90 = q90
        self._spread = spread

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Energies ``[B, S]``: the mean over imagined steps."""
        uncertainty = self._uncertainty(trajectory)
        steps = uncertainty.shape[-1]
        q90 = _first(self._q90, steps)
        return F.relu((uncertainty - q90) / _first(self._spread, steps)).mean(-1)


def _first(quantiles: float | Tensor, steps: int) -> float | Tensor:
    """The quantiles of the imagined steps there are."""
    if isinstance(quantiles, float | int) or quantiles.ndim == 0:
        return quantiles
    if len(quantiles) < steps:
        raise ValueError(
            f"Expected calibration for {steps} imagined steps, got {len(quantiles)}; "
            "shorten the horizon or calibrate longer rollouts"
        )
    return quantiles[:steps]


class MeanEnergy:
    """The mean of energies that share a unit, which it keeps.

    Args:
        energies: One or more.
    """

    def __init__(self, energies: Sequence[Energy]) -> None:
        if not energies:
            raise ValueError("Expected one energy or more, got none")
        self._energies = energies

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Energies ``[B, S]``."""
        return torch.stack([energy(trajectory) for energy in self._energies]).mean(0)


class TotalEnergy:
    """``E_world + goal_weight · E_goal``, with each term on its own beside it.

    Args:
        goal: Goal energy.
        world: World energy, or None to trust the model everywhere.
        goal_weight: λ.
    """

    def __init__(
        self, goal: GoalEnergy, world: Energy | None = None, goal_weight: float = 1.0
    ) -> None:
        self._goal = goal
        self._world = world
        self._goal_weight = goal_weight

    def to_go(self, futures: Futures) -> Tensor:
        """``E_goal`` ``[B, S]`` of paths, unweighted."""
        return self._goal(futures)

    def goal_alone(self) -> TotalEnergy:
        """``E_goal`` without a world energy, for a world that this one does not judge."""
        return TotalEnergy(self._goal)

    def __call__(self, trajectory: Trajectory) -> tuple[Tensor, dict[str, Tensor]]:
        """Total energies ``[B, S]``, and the unweighted terms ``goal`` and ``world``, alike."""
        goal = self._goal(trajectory)
        if self._world is None:
            return self._goal_weight * goal, {"goal": goal}
        world = self._world(trajectory)
        return world + self._goal_weight * goal, {"goal": goal, "world": world}
