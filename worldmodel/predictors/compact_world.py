"""The compact predictor as planners see it: encode, rollout, goal energies and the policy prior.

Shapes: B episodes, S candidates, H control steps, K = H / stride imagined steps, Z planning latent;
N = 1 token per frame.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.predictors.compact import CompactPredictor
from worldmodel.predictors.scaling import imagined_states

__all__ = ["CompactPrior", "CompactWorld", "Imagined", "ReachabilityEnergy", "ValueEnergy"]


class Imagined(NamedTuple):
    """Imagined futures; see ``planners.protocols.Trajectory``."""

    latents: Tensor
    states: Tensor
    disagreement: Tensor | None


class _Trajectory(Protocol):
    @property
    def latents(self) -> Tensor: ...
    @property
    def states(self) -> Tensor: ...


class CompactWorld(nn.Module):
    """A frozen encoder and a compact predictor; fulfils ``planners.protocols.World``."""

    def __init__(self, encoder: FrozenEncoder, predictor: CompactPredictor) -> None:
        super().__init__()
        self.encoder = encoder
        self.predictor = predictor.eval().requires_grad_(False)

    @property
    def stride(self) -> int:
        """Control steps per imagined step."""
        return self.predictor.config.stride

    @property
    def image_size(self) -> int:
        """Side of the frames it was trained on, in pixels."""
        return self.encoder.image_size

    @property
    def action_width(self) -> int:
        """A."""
        return self.predictor.config.action_width

    @property
    def disagreement_quantiles(self) -> tuple[Tensor, Tensor] | None:
        """Held-out 90 % and 99 % quantiles of disagreement per imagined step; None without any."""
        if self.predictor.config.members == 1:
            return None
        return self.predictor.disagreement_q90, self.predictor.disagreement_q99

    def encode(self, frames: Tensor) -> Tensor:
        """Planning latents ``[B, T, 1, Z]`` of ``uint8`` frames ``[B, T, h, w, 3]``."""
        return self.predictor.encode(self.encoder.encode(frames)).unsqueeze(2)

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        """Imagine; only the last context frame is used. See ``planners.protocols.World``.

        Imagined scene codes are the mean over members, the disagreement their variance; the arm's
        part of the latents follows from the states, to which the actions are applied.
        """
        model, stride = self.predictor, self.stride
        batch, samples, horizon, width = actions.shape
        members, steps = model.config.members, horizon // stride
        path = imagined_states(states[:, -1, None], actions, model.state_features)
        features = model.state_features(path[:, :, ::stride]).flatten(0, 1)
        chunks = model.scale_actions(actions).view(batch * samples, steps, stride * width)
        codes = model.codes(latents[:, -1]).expand(-1, samples, -1)
        codes = codes.flatten(0, 1).expand(members, -1, -1)
        imagined: list[Tensor] = []
        for k in range(steps):
            codes = model.dynamics(codes, features[:, k], chunks[:, k])
            imagined.append(codes)
        futures = torch.stack(imagined, 2).unflatten(1, (batch, samples))
        mean = futures.mean(0)
        disagreement = (futures - mean).square().mean((0, -1)) if members > 1 else None
        arm = features[:, 1:].unflatten(0, (batch, samples))
        planning = torch.cat([mean, arm], -1).unsqueeze(3)
        return Imagined(planning, path[:, :, stride::stride], disagreement)

    def grounded(self, latents: Tensor, states: Tensor) -> Tensor:
        """Latents ``[..., 1, Z]`` of images, with the arm's part told by states ``[..., P]``.

        In this form ``rollout`` imagines them.
        """
        codes = self.predictor.codes(latents[..., 0, :])
        return torch.cat([codes, self.predictor.state_features(states)], -1).unsqueeze(-2)

    def goal_energy(self, goal_latents: Tensor, with_arm: bool = False) -> ValueEnergy:
        """The learned cost-to-go to goals whose latents are ``[B, 1, Z]``.

        Args:
            goal_latents: Of the goal images.
            with_arm: Whether the arm's place in them counts, or only the scene.
        """
        return ValueEnergy(self.predictor, self.predictor.goals(goal_latents[:, 0], with_arm))

    def reachability_energy(
        self, goal_latents: Tensor, with_arm: bool = False
    ) -> ReachabilityEnergy:
        """The learned temporal distance to the same goals."""
        goals = self.predictor.goals(goal_latents[:, 0], with_arm)
        return ReachabilityEnergy(self.predictor, goals)

    def prior(self, goal_latents: Tensor, with_arm: bool = False) -> CompactPrior:
        """The policy prior towards the same goals."""
        return CompactPrior(self.predictor, self.predictor.goals(goal_latents[:, 0], with_arm))


class ValueEnergy:
    """``-V`` of the imagined latents, later ones weighing more: ``sum_k k (-V_k) / sum_k k``."""

    def __init__(self, model: CompactPredictor, goals: Tensor) -> None:
        self._model, self._goals = model, goals

    def __call__(self, trajectory: _Trajectory) -> Tensor:
        """Energies ``[B, S]``, in imagined steps to the goal."""
        model = self._model
        latents = trajectory.latents[..., 0, :]
        goals = self._goals[:, None, None].expand(*latents.shape[:-1], -1)
        return _later_more(-model.value(model.codes(latents), model.arm(latents), goals))


class ReachabilityEnergy:
    """Imagined steps from the imagined latents to the goal, later ones weighing more."""

    def __init__(self, model: CompactPredictor, goals: Tensor) -> None:
        self._model, self._goals = model, goals

    def __call__(self, trajectory: _Trajectory) -> Tensor:
        """Energies ``[B, S]``, in imagined steps to the goal."""
        latents = trajectory.latents[..., 0, :]
        return _later_more(self._model.steps(latents, self._goals[:, None, None]))


def _later_more(costs: Tensor) -> Tensor:
    """``sum_k k cost_k / sum_k k`` over the imagined steps, ``[B, S]`` of ``[B, S, K]``."""
    steps = torch.arange(1, costs.shape[-1] + 1, device=costs.device, dtype=costs.dtype)
    return (costs * (steps / steps.sum())).sum(-1)


class CompactPrior:
    """Actions that led to such goals in the data, rolled out in the model.

    The first proposal is the prior's own; the others are perturbed by ``noise`` in scaled actions.
    """

    def __init__(self, model: CompactPredictor, goals: Tensor, noise: float = 0.4) -> None:
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
        goals = self._goals[:, None].expand(-1, samples, -1)
        state = states[:, -1, None].expand(-1, samples, -1)
        codes = model.codes(latents[:, -1]).expand(-1, samples, -1)
        chosen: list[Tensor] = []
        for _ in range(0, horizon, stride):
            features = model.state_features(state)
            scaled = model.prior(codes, features, goals)
            # Episodes share the noise, so that a batch decides as its episodes would one by one.
            noise = torch.randn(
                scaled.shape[1:], generator=generator, device=scaled.device, dtype=scaled.dtype
            )
            noise[0] = 0.0
            scaled = scaled + self._noise * noise
            actions = model.scale_actions.inverse(scaled.unflatten(-1, (stride, width)))
            chosen.append(actions)
            state = imagined_states(state, actions, model.state_features)[:, :, -1]
            rows = codes.flatten(0, 1).expand(members, -1, -1)
            following = model.dynamics(rows, features.flatten(0, 1), scaled.flatten(0, 1))
            codes = following.mean(0).unflatten(0, codes.shape[:2])
        return torch.cat(chosen, 2)
