"""The vector predictor: planning on one small latent per frame, drawn from the frozen tokens.

Patch tokens make a poor long-range goal energy and a slow rollout. Here the frozen tokens of a
frame and of a reference frame of the same scene are reduced to one *planning latent* of two parts:
an *object latent*, which holds what the arm's own state does not explain (the objects), and the
*proprio features* as the image shows them (`worldmodel.predictors.planning_head`).

An ensemble of small residual networks imagines the object latent ``stride`` control steps at a
time, while the arm follows from proprioception. A value and a reachability say how far it is to a
goal, a policy prior what usually leads there, uncertainties where the imagination errs, and
macro-actions what many steps lead to. All of it is trained from undirected data, without rewards.

Shapes: ``...`` any leading axes, N tokens of width D, C object latent, P state, F state features,
Z = C + F planning latent, G = Z + 1 goal, A action, U macro-action, M ensemble members, R rows.
"""

from __future__ import annotations

from dataclasses import field
from math import isqrt
from typing import Annotated

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from worldmodel.nn.mlp import MLP, StackedMLP, mlp
from worldmodel.nn.standardisation import ActionScaling
from worldmodel.precision import keep_weights_in
from worldmodel.predictors.macros import Macros
from worldmodel.predictors.memory import Memory
from worldmodel.predictors.planning_head import SIGHTS, PlanningHead
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.reachability import Reachability
from worldmodel.predictors.scenes import Scenes
from worldmodel.predictors.uncertainty import UncertaintyHeads
from worldmodel.settings import CHECKED, Count, Features, Frames, Layers, Width, among

__all__ = ["Dynamics", "VectorPredictor", "VectorPredictorConfig"]


@dataclass(frozen=True, config=CHECKED)
class VectorPredictorConfig:
    """Sizes of a vector predictor; the first four follow from encoder and data set.

    Attributes:
        tokens: N, tokens per frame of the frozen encoder.
        token_width: D, their width.
        action_width: A.
        state_width: P.
        object_width: C.
        stride: Control steps per imagined step.
        members: M, of the dynamics ensemble.
        width: Of the dynamics' hidden layers.
        depth: Hidden layers of the dynamics.
        critics: V, value networks.
        sight_width: Of what the planning head reads off each token for the object latent; with
            ``sight=grid`` for the arm, too.
        points: Feature points, each a place in the picture.
        proprio_width: Of the hidden layers that read the arm off the picture.
        scene_width: S, numbers of a scene apart from the arm; 0 where object latents are that.
        head_width: Of those of the value, the reachability and the uncertainties.
        prior_width: Of the policy prior's hidden layers: what it imitates has many ways.
        leap: Imagined steps that the predictor behind the uncertainty ``leap`` covers at once.
        macro_steps: Control steps that a macro-action stands for.
        macro_width: U, numbers of a macro-action.
        memory: Moments of the data that are remembered.
        states: How proprioception is taken; follows from the data set.
        state_model_width: Of the hidden layers that predict proprioception.
        cameras: K, whose tokens follow each other; ``tokens`` are those of all.
        sight: How tokens are read: ``points`` beside a reference frame, for scenes that look
            different each time; ``grid`` alone by convolutions, for scenes that look alike. There
            the object latent is places in the picture, of two numbers each, and a glimpse.
        glimpse: Numbers that say what a camera shows at one of these places; 0 for places alone.

    Raises:
        ValueError: ``tokens`` is no square number of each camera, or there are no such states.
    """

    tokens: Count = 64
    token_width: Width = 128
    action_width: Width = 7
    state_width: Features = 7
    object_width: Width = 16
    stride: Frames = 2
    members: Layers = 3
    width: Width = 384
    depth: Layers = 3
    critics: Layers = 4
    sight_width: Width = 128
    points: Width = 32
    proprio_width: Width = 384
    scene_width: Features = 4
    head_width: Width = 256
    prior_width: Width = 768
    leap: Frames = 4
    macro_steps: Frames = 8
    macro_width: Width = 6
    memory: Count = 4096
    states: StateLayout = field(default_factory=StateLayout)
    state_model_width: Width = 128
    cameras: Count = 1
    sight: Annotated[str, among(*SIGHTS)] = "points"
    glimpse: Features = 0

    def __post_init__(self) -> None:
        if self.cameras * isqrt(self.tokens // self.cameras) ** 2 != self.tokens:
            raise ValueError(
                f"Expected a square number of tokens per frame of each of {self.cameras} "
                f"camera(s), got {self.tokens}."
            )
        points, odd = divmod(self.object_width - self.cameras * self.glimpse, 2 * self.cameras)
        if self.sight == "grid" and (odd or points < 1):
            raise ValueError(
                f"Expected object_width of two numbers a point and {self.glimpse} of a glimpse, "
                f"of each of {self.cameras} camera(s), with sight=grid, got {self.object_width}."
            )
        if self.glimpse and (self.sight != "grid" or self.tokens < 9 * self.cameras):
            raise ValueError(
                "Expected glimpse=0 unless sight=grid, of 9 tokens a camera or more, got "
                f"{self.glimpse} with sight={self.sight} and {self.tokens} tokens."
            )
        self.states.check(self.state_width, self.action_width)


class Dynamics(nn.Module):
    """M residual networks: object latent, state, ``stride`` actions to the next object latent."""

    def __init__(self, config: VectorPredictorConfig, state_features: int) -> None:
        super().__init__()
        inputs = config.object_width + state_features + config.stride * config.action_width
        self.members = StackedMLP(
            config.members, inputs, config.width, config.depth, config.object_width
        )

    def forward(self, codes: Tensor, features: Tensor, actions: Tensor) -> Tensor:
        """One imagined step.

        Args:
            codes: ``[M, R, C]``, one per member.
            features: State features ``[R, F]``, or ``[M, R, F]`` if members see different rows.
            actions: Scaled actions ``[R, stride * A]`` or ``[M, R, stride * A]``.

        Returns:
            Next codes ``[M, R, C]``.
        """
        return codes + self.change(codes, features, actions)

    def change(self, codes: Tensor, features: Tensor, actions: Tensor) -> Tensor:
        """What one imagined step adds to the codes, ``[M, R, C]``; arguments as of `forward`."""
        shared = torch.cat([features, actions], -1)
        hidden = torch.cat([codes, shared.expand(len(codes), -1, -1)], -1)
        members: Tensor = self.members(hidden)
        return members


class VectorPredictor(nn.Module):
    """Everything that planning on vector latents needs, and the statistics it was trained with."""

    def __init__(self, config: VectorPredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.scale_actions = ActionScaling(config.action_width)
        self.state_features = config.states.features(config.state_width)
        features = self.state_features.width
        self.head = PlanningHead(
            config.tokens,
            config.token_width,
            config.object_width,
            features,
            config.sight_width,
            config.points,
            config.proprio_width,
            config.cameras,
            config.sight,
            config.glimpse,
        )
        self.scenes = Scenes(config.object_width, features, config.scene_width, config.head_width)
        self.dynamics = Dynamics(config, features)
        pair = 2 * (config.object_width + features) + 1
        self.critics = StackedMLP(config.critics, pair, config.head_width, 3, 1)
        self.prior_net = mlp(pair, config.prior_width, 3, config.stride * config.action_width)
        self.reachability = Reachability(
            mlp(config.object_width + features, config.head_width, 2, Reachability.width),
            mlp(config.object_width + features, config.head_width, 2, Reachability.width),
        )
        self.uncertainties = UncertaintyHeads(
            config.object_width,
            features,
            config.stride * config.action_width,
            config.leap,
            config.head_width,
        )
        self.latent_width = config.object_width + features
        self.macros = Macros(
            self.latent_width,
            config.macro_steps * config.action_width,
            config.macro_width,
            width=config.width,
            depth=config.depth,
        )
        self.memory = Memory(config.memory, self.latent_width)
        self.state_model = config.states.model(
            features, config.stride * config.action_width, config.state_model_width
        )

    def imagine_in(self, dtype: torch.dtype) -> None:
        """Keep what imagines, judges and proposes in another precision; images are read in theirs.

        For planning only: it cannot be trained any more.
        """
        reading = set(self.head.modules())
        networks = (m for m in self.modules() if isinstance(m, MLP | StackedMLP))
        keep_weights_in(dtype, (network for network in networks if network not in reading))

    def encode(self, tokens: Tensor, reference: Tensor) -> Tensor:
        """Planning latents ``[..., Z]`` of frozen tokens and of a reference's, ``[..., N, D]``.

        Proprio features that no picture shows are zero, their mean.
        """
        codes, arm = self.head(tokens, reference).split(
            [self.config.object_width, self.state_features.width], -1
        )
        return torch.cat([codes, arm * self.state_features.visible], -1)

    @property
    def visible(self) -> Tensor:
        """What a picture can show of planning latents, 0 or 1 ``[Z]``."""
        codes = self.state_features.visible.new_ones(self.config.object_width)
        return torch.cat([codes, self.state_features.visible])

    @property
    def typical_step(self) -> float:
        """How far latents go in an imagined step of what is remembered; 0 where nothing is.

        That is the root mean square over all that a picture can show.
        """
        speed = self.memory.speed(self.config.stride)
        squared = speed.square().mean(0) @ self.visible / self.visible.sum()
        return float(squared.sqrt()) if len(speed) else 0.0

    @property
    def robot_part(self) -> Tensor:
        """The proprio features among them, 0 or 1 ``[Z]``."""
        nothing = self.state_features.visible.new_zeros(self.config.object_width)
        return torch.cat([nothing, self.state_features.visible])

    def object_latents(self, latents: Tensor) -> Tensor:
        """Object latents ``[..., C]``, the first part of planning latents ``[..., Z]``."""
        return latents[..., : self.config.object_width]

    def proprio(self, latents: Tensor) -> Tensor:
        """Proprio features ``[..., F]``, the rest of planning latents ``[..., Z]``."""
        return latents[..., self.config.object_width :]

    def grounded(self, latents: Tensor, states: Tensor) -> Tensor:
        """Latents ``[..., 1, Z]`` with the proprio features of states ``[..., P]``."""
        codes = self.object_latents(latents[..., 0, :])
        return torch.cat([codes, self.state_features(states)], -1).unsqueeze(-2)

    def goals(self, latents: Tensor, with_proprio: Tensor | bool) -> Tensor:
        """Goal rows ``[..., G]``, the input of value, prior and reachability.

        They hold the arm's place even where it does not count: an object latent says most with it.

        Args:
            latents: Planning latents of the goals, ``[..., Z]``.
            with_proprio: Whether the arm's place counts, or only the scene; may be ``[...]``.
        """
        if isinstance(with_proprio, bool):  # made where it is needed, without a wait for the device
            counts = latents.new_full(latents.shape[:-1], float(with_proprio))
        else:
            counts = with_proprio.to(latents).expand(latents.shape[:-1])
        counts = counts[..., None]
        return torch.cat([latents, counts], -1)

    def values(
        self, codes: Tensor, features: Tensor, goals: Tensor, critics: int | None = None
    ) -> Tensor:
        """Minus the discounted imagined steps to the goals ``[..., G]``, as each critic has it.

        Returns:
            ``[V, ...]``, of the first V ``critics``, by default all.
        """
        state = torch.cat([codes, features, goals], -1)
        rows = state.flatten(0, -2).expand(critics or self.config.critics, -1, -1)
        return self.critics(rows).view(-1, *state.shape[:-1])

    def value(self, codes: Tensor, features: Tensor, goals: Tensor) -> Tensor:
        """The critics' mean, ``[...]``."""
        return self.values(codes, features, goals).mean(0)

    def steps(self, latents: Tensor, goals: Tensor) -> Tensor:
        """Imagined steps ``[...]`` from planning latents ``[..., Z]`` to goals ``[..., G]``."""
        here = self.reachability.embed(self.goals(latents, with_proprio=True))
        return self.reachability(here, self.reachability.embed(goals))

    def prior(self, codes: Tensor, features: Tensor, goals: Tensor) -> Tensor:
        """The next ``stride`` actions ``[..., stride * A]``, scaled."""
        return self.prior_net(torch.cat([codes, features, goals], -1))
