"""The vector predictor as planners see it: encode, rollout, goal energies and the policy prior.

Shapes: B episodes, S candidates, H control steps, K = H / stride imagined steps, Z planning latent;
N = 1 token per frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from worldmodel.predictors.frozen_world import FrozenWorld
from worldmodel.predictors.imagination import (
    CalibratedUncertainty,
    Imagined,
    calibrated_uncertainties,
    imagine,
)
from worldmodel.predictors.proprioception import imagined_states
from worldmodel.predictors.vector import VectorPredictor

__all__ = ["ReachabilityEnergy", "ValueEnergy", "VectorPrior", "VectorWorld", "perturbed"]


class _Futures(Protocol):
    @property
    def latents(self) -> Tensor: ...
    @property
    def states(self) -> Tensor: ...


class VectorWorld(FrozenWorld[VectorPredictor]):
    """A frozen encoder and a vector predictor; fulfils ``planners.protocols.World``."""

    @property
    def stride(self) -> int:
        """Control steps per imagined step."""
        return self.predictor.config.stride

    @property
    def visible(self) -> Tensor:
        """What a picture can show of planning latents, 0 or 1 ``[Z]``."""
        return self.predictor.visible

    @property
    def robot_part(self) -> Tensor:
        """Channels of planning latents that are proprio features a picture shows, ``[Z]``."""
        return self.predictor.robot_part

    @property
    def typical_step(self) -> float:
        """How far planning latents go in an imagined step of the data; 0: unknown."""
        return self.predictor.typical_step

    @property
    def uncertainties(self) -> Mapping[str, CalibratedUncertainty]:
        """What the model says of its own reliability, term by term, and what is usual of it."""
        return calibrated_uncertainties(self.predictor)

    def project(self, latents: Tensor, reference: Tensor) -> Tensor:
        """Planning latents ``[B, T, 1, Z]`` of frozen tokens, with a reference ``[B, N, D]``."""
        return self.predictor.encode(latents, reference[:, None]).unsqueeze(2)

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        """Imagine; see `worldmodel.predictors.imagination.imagine`."""
        return imagine(self.predictor, latents, states, actions)

    def grounded(self, latents: Tensor, states: Tensor) -> Tensor:
        """Latents ``[..., 1, Z]`` of images, with the proprio features of states ``[..., P]``.

        In this form ``rollout`` imagines them.
        """
        return self.predictor.grounded(latents, states)

    def distance(self, here: Tensor, there: Tensor) -> Tensor:
        """The learned cost-to-go, arm included, between latents ``[..., 1, Z]``, ``[...]``."""
        model, start = self.predictor, here[..., 0, :]
        goals = model.goals(there[..., 0, :], with_proprio=True)
        return -model.value(model.object_latents(start), model.proprio(start), goals)

    def goal_energy(
        self,
        goal_latents: Tensor,
        with_proprio: Tensor | bool = False,
        *,
        pessimism: float = 3.0,
        critics: int | None = None,
    ) -> ValueEnergy:
        """The learned cost-to-go to goals whose latents are ``[B, 1, Z]``.

        Args:
            goal_latents: Of the goal images.
            with_proprio: Whether the arm's place in them counts, or only the scene; may be ``[B]``.
            pessimism: Of what critics do not agree on.
            critics: How many to ask, by default all: one ranks candidates nearly as all do.
        """
        return ValueEnergy(
            self.predictor, self._goals(goal_latents, with_proprio), pessimism, critics
        )

    def reachability_energy(
        self, goal_latents: Tensor, with_proprio: Tensor | bool = False
    ) -> ReachabilityEnergy:
        """The learned temporal distance to the same goals."""
        return ReachabilityEnergy(self.predictor, self._goals(goal_latents, with_proprio))

    def prior(
        self, goal_latents: Tensor, with_proprio: Tensor | bool = False, *, noise: float = 0.4
    ) -> VectorPrior:
        """The policy prior towards the same goals, perturbed by ``noise`` in scaled actions."""
        return VectorPrior(self.predictor, self._goals(goal_latents, with_proprio), noise)

    def referee(
        self, goal_latents: Tensor, with_proprio: Tensor | bool = False, margin: float = 0.2
    ) -> ValueReferee:
        """Leaves the prior's own choice for a gain of ``margin`` imagined steps or more."""
        return ValueReferee(self.predictor, self._goals(goal_latents, with_proprio), margin)

    def _goals(self, goal_latents: Tensor, with_proprio: Tensor | bool) -> Tensor:
        """Goal rows ``[B, G]``; a ValueError where these are no planning latents."""
        width = self.predictor.latent_width
        if goal_latents.ndim != 3 or goal_latents.shape[1:] != (1, width):
            raise ValueError(
                f"Expected goal latents [B,1,{width}], got {list(goal_latents.shape)}; take them "
                "from `world.project(world.encode(goal), reference)[:, 0]`"
            )
        return self.predictor.goals(goal_latents[:, 0], with_proprio)


class ValueEnergy:
    """``-V`` of the imagined latents, later ones weighing more: ``sum_k k (-V_k) / sum_k k``.

    A search asks how much better a candidate is than the others, so that is what has to be certain:
    the energy is the mean over critics, plus ``pessimism`` times their standard deviation once each
    has lost its mean over the candidates. What all of them are wrong about alike, it does not see.
    For gradients that mean is a constant: a candidate descends as it would among any others.
    """

    def __init__(
        self, model: VectorPredictor, goals: Tensor, pessimism: float, critics: int | None
    ) -> None:
        self._model, self._goals, self._pessimism = model, goals, pessimism
        self._critics = critics

    def __call__(self, trajectory: _Futures) -> Tensor:
        """Energies ``[B, S]``, in imagined steps to the goal."""
        costs = _costs(self._model, trajectory, self._goals, self._critics)
        usual = costs.where(costs.isfinite(), torch.nan).nanmean(-1, keepdim=True)
        apart = (costs - usual.detach()).std(0, correction=0)
        return costs.mean(0) + self._pessimism * apart


class ValueReferee:
    """What critics agree that a candidate gains over the first, beyond a margin.

    Each critic compares the two itself, so what it is wrong about in both alike does not count. The
    gain is the critics' mean, less their standard deviation.
    """

    def __init__(self, model: VectorPredictor, goals: Tensor, margin: float) -> None:
        self._model, self._goals, self._margin = model, goals, margin

    def __call__(self, trajectory: _Futures) -> Tensor:
        """Imagined steps gained, less the margin, ``[B, S]``."""
        costs = _costs(self._model, trajectory, self._goals)
        gains = costs[..., :1] - costs
        return gains.mean(0) - gains.std(0, correction=0) - self._margin


class ReachabilityEnergy:
    """Imagined steps from the imagined latents to the goal, later ones weighing more."""

    def __init__(self, model: VectorPredictor, goals: Tensor) -> None:
        self._model, self._goals = model, goals

    def __call__(self, trajectory: _Futures) -> Tensor:
        """Energies ``[B, S]``, in imagined steps to the goal."""
        latents = trajectory.latents[..., 0, :]
        goals = _of_episodes(self._goals, len(latents))[:, None, None]
        return _later_more(self._model.steps(latents, goals))


def _costs(
    model: VectorPredictor, trajectory: _Futures, goals: Tensor, critics: int | None = None
) -> Tensor:
    """Steps to go as each of V critics has it, later ones weighing more, ``[V, B, S]``."""
    latents = trajectory.latents[..., 0, :]
    goals = _of_episodes(goals, len(latents))[:, None, None].expand(*latents.shape[:-1], -1)
    values = model.values(model.object_latents(latents), model.proprio(latents), goals, critics)
    return _later_more(-values)


def _of_episodes(goals: Tensor, batch: int) -> Tensor:
    """The goals; a ValueError where they are not of as many episodes."""
    if len(goals) != batch:
        raise ValueError(f"Expected goals of {batch} episode(s), got {len(goals)}")
    return goals


def _later_more(costs: Tensor) -> Tensor:
    """``sum_k k cost_k / sum_k k`` over the imagined steps, ``[...]`` of ``[..., K]``."""
    steps = torch.arange(1, costs.shape[-1] + 1, device=costs.device, dtype=costs.dtype)
    return (costs * (steps / steps.sum())).sum(-1)


def perturbed(proposals: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Proposals ``[B, S, U]``, all but each episode's first with noise of this deviation.

    Episodes share the noise, so that a batch decides as its episodes would one by one.
    """
    drawn = torch.randn(
        proposals.shape[1:], generator=generator, device=proposals.device, dtype=proposals.dtype
    )
    drawn[0] = 0.0
    return proposals + noise * drawn


class VectorPrior:
    """Actions that led to such goals in the data, rolled out in the model.

    The first proposal is the prior's own; the others are perturbed by ``noise`` in scaled actions.
    """

    def __init__(self, model: VectorPredictor, goals: Tensor, noise: float) -> None:
        self._model, self._goals, self._noise = model, goals, noise

    def __call__(
        self,
        latents: Tensor,
        states: Tensor,
        *,
        samples: int,
        horizon: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Candidates ``[B, samples, horizon, A]``; see ``planners.protocols.Proposal``."""
        model, stride = self._model, self._model.config.stride
        width, members = model.config.action_width, model.config.members
        goals = _of_episodes(self._goals, len(latents))[:, None].expand(-1, samples, -1)
        state = states[:, -1, None].expand(-1, samples, -1)
        codes = model.object_latents(latents[:, -1]).expand(-1, samples, -1)
        chosen: list[Tensor] = []
        for _ in range(0, horizon, stride):
            features = model.state_features(state)
            scaled = perturbed(model.prior(codes, features, goals), self._noise, generator)
            actions = model.scale_actions.inverse(scaled.unflatten(-1, (stride, width)))
            chosen.append(actions)
            if len(chosen) * stride == horizon:
                break  # nobody asks where the last one leads
            state = imagined_states(model, state, actions, stride).states[:, :, -1]
            rows = codes.flatten(0, 1).expand(members, -1, -1)
            following = model.dynamics(rows, features.flatten(0, 1), scaled.flatten(0, 1))
            codes = following.mean(0).unflatten(0, codes.shape[:2])
        return torch.cat(chosen, 2)
