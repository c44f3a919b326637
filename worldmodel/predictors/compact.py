"""The compact predictor: planning on one small latent per frame, drawn from the frozen tokens.

Patch tokens make a poor long-range goal energy and a slow rollout. Here a trained head reduces the
frozen tokens of a frame to one *planning latent*; an ensemble of small residual networks imagines
it ``stride`` control steps at a time; and four more heads, all trained from undirected data without
rewards, say how far it is to a goal and what usually leads there.

Shapes: ``...`` any leading axes, N tokens of width D, Z planning latent, C goal code, P state,
F state features, A action, M ensemble members.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from worldmodel.predictors.scaling import ActionScaling, StateFeatures

__all__ = ["CompactConfig", "CompactPredictor", "Dynamics", "GoalCode", "PlanningHead", "mlp"]


@dataclass(frozen=True)
class CompactConfig:
    """Sizes.

    Attributes:
        tokens: N, tokens per frame of the frozen encoder.
        token_width: D, their width.
        action_width: A.
        state_width: P.
        latent_width: Z.
        code_width: C.
        stride: Control steps per imagined step.
        members: M, of the dynamics ensemble.
        width: Of the dynamics' hidden layers.
        depth: Hidden layers of the dynamics.
        head_width: Of the hidden layers of the value and the prior.
    """

    tokens: int = 64
    token_width: int = 128
    action_width: int = 7
    state_width: int = 7
    latent_width: int = 32
    code_width: int = 6
    stride: int = 2
    members: int = 3
    width: int = 384
    depth: int = 3
    head_width: int = 256


def mlp(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    """``depth`` hidden layers of layer norm and GELU, and a linear output."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.GELU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class PlanningHead(nn.Module):
    """Frozen tokens ``[..., N, D]`` to planning latents ``[..., Z]``.

    The batch norm keeps every number at unit scale, so that none of them can be ignored by a
    distance, as in LeWM's projector.
    """

    def __init__(self, config: CompactConfig, token_code: int = 16, hidden: int = 256) -> None:
        super().__init__()
        self.reduce = nn.Linear(config.token_width, token_code)
        self.project = nn.Sequential(
            nn.GELU(),
            nn.Linear(config.tokens * token_code, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Linear(hidden, config.latent_width),
        )
        self.norm = nn.BatchNorm1d(config.latent_width, affine=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Planning latents."""
        latents = self.project(self.reduce(tokens).flatten(-2))
        return self.norm(latents.flatten(0, -2)).view_as(latents)


class Dynamics(nn.Module):
    """M residual networks: latent, state features and ``stride`` actions to the next latent.

    The members' weights are stacked, so that all of them run in one batched product.
    """

    def __init__(self, config: CompactConfig, state_features: int) -> None:
        super().__init__()
        inputs = config.latent_width + state_features + config.stride * config.action_width
        sizes = [inputs, *[config.width] * config.depth, config.latent_width]
        shapes = list(pairwise(sizes))
        self.weights = nn.ParameterList(_uniform(config.members, i, i, o) for i, o in shapes)
        self.biases = nn.ParameterList(_uniform(config.members, i, 1, o) for i, o in shapes)

    def forward(self, latents: Tensor, features: Tensor, actions: Tensor) -> Tensor:
        """One imagined step.

        Args:
            latents: ``[M, R, Z]`` for R rows, a latent per member.
            features: State features ``[R, F]``, or ``[M, R, F]`` if members see different rows.
            actions: Scaled actions ``[R, stride * A]`` or ``[M, R, stride * A]``.

        Returns:
            Next latents ``[M, R, Z]``.
        """
        shared = torch.cat([features, actions], -1)
        hidden = torch.cat([latents, shared.expand(len(latents), -1, -1)], -1)
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if layer < last:
                hidden = nn.functional.gelu(nn.functional.layer_norm(hidden, hidden.shape[-1:]))
        return latents + hidden


def _uniform(members: int, fan_in: int, rows: int, columns: int) -> nn.Parameter:
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(members, rows, columns).uniform_(-bound, bound))


class GoalCode(nn.Module):
    """What of a planning latent is left when the arm could be anywhere: the objects, mostly.

    The code is variational, and *together with the state of another moment nearby* must suffice to
    decode that moment's latent. What changes with the arm alone comes with the state, so the code
    need not hold it.
    """

    def __init__(self, config: CompactConfig, state_features: int) -> None:
        super().__init__()
        z, c = config.latent_width, config.code_width
        self.encode = mlp(z, config.head_width, 2, 2 * c)
        self.decode = mlp(c + state_features, config.head_width, 2, z)

    def distribution(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance ``[..., C]`` of the codes of planning latents ``[..., Z]``."""
        mean, log_variance = self.encode(latents).chunk(2, -1)
        return mean, log_variance.clamp(-8.0, 4.0)

    def forward(self, latents: Tensor) -> Tensor:
        """Goal codes ``[..., C]`` of planning latents ``[..., Z]``: the means."""
        return self.distribution(latents)[0]


class CompactPredictor(nn.Module):
    """Everything that planning on compact latents needs, and the statistics it was trained with."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.scale_actions = ActionScaling(config.action_width)
        self.state_features = StateFeatures(config.state_width)
        features = self.state_features.width
        self.head = PlanningHead(config)
        self.dynamics = Dynamics(config, features)
        self.goal_code = GoalCode(config, features)
        pair = 2 * config.code_width + features
        self.value_net = mlp(pair, config.head_width, 3, 1)
        self.prior_net = mlp(pair, config.head_width, 3, config.stride * config.action_width)
        steps = 16  # imagined steps for which disagreement is calibrated
        self.disagreement_q90: Tensor
        self.disagreement_q99: Tensor
        self.register_buffer("disagreement_q90", torch.zeros(steps))
        self.register_buffer("disagreement_q99", torch.ones(steps))

    def value(self, codes: Tensor, features: Tensor, goal_codes: Tensor) -> Tensor:
        """Minus the discounted steps to the goal, ``[...]``."""
        return self.value_net(torch.cat([codes, features, goal_codes], -1)).squeeze(-1)

    def prior(self, codes: Tensor, features: Tensor, goal_codes: Tensor) -> Tensor:
        """The next ``stride`` actions ``[..., stride * A]``, scaled."""
        return self.prior_net(torch.cat([codes, features, goal_codes], -1))
