"""The V-JEPA 2-AC predictor in any size: a frame-causal transformer over patch tokens.

Implements the action-conditioned predictor of V-JEPA 2-AC (Assran et al. 2025, section 3.1) with
its parameter names. Every frame contributes ``[action, state, patches]``, with the camera's
extrinsics after the state where they are used; tokens attend to their own frame and to earlier
ones; the tokens before the patches are rotated in time only.

Shapes: B rows, T frames, N patches of width D per frame, A action, P state.
"""

from __future__ import annotations

from dataclasses import field
from functools import cache
from math import isqrt

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from worldmodel.nn.attention import KeyValueCache
from worldmodel.nn.blocks import NORM_EPS, Block, initialise, normalise
from worldmodel.nn.mlp import linear
from worldmodel.nn.rope import Rotation, rotation_table, token_positions
from worldmodel.nn.standardisation import ActionScaling
from worldmodel.precision import keep_weights_in
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.settings import (
    CHECKED,
    Count,
    Depth,
    Features,
    Frames,
    Positive,
    Width,
    check_heads,
)

__all__ = ["EXTRINSICS_WIDTH", "Caches", "TokenPredictor", "TokenPredictorConfig"]

Caches = list[KeyValueCache]
"""One per block."""

EXTRINSICS_WIDTH = 6  # xyz, extrinsic-xyz Euler angles


@dataclass(frozen=True, config=CHECKED)
class TokenPredictorConfig:
    """Sizes of a token predictor, and where V-JEPA 2-AC is followed to the letter.

    Attributes:
        tokens: N, patches of a (square) frame.
        token_width: D, their width.
        action_width: A.
        state_width: P.
        width: Of the transformer.
        depth: Its blocks.
        heads: Its attention heads.
        mlp_ratio: Hidden width of the MLPs over ``width``.
        context_frames: Most frames that a rollout starts from; no longer than in training.
        residual: Predict the change of the latents; V-JEPA 2-AC predicts the latents themselves.
        raw_inputs: Feed actions and states as they are, like V-JEPA 2-AC, instead of standardised,
            with sine and cosine of the angles.
        tiled_rope: Rotary layout of Meta's released weights; see ``rotation_table``.
        extrinsics: Feed the camera's pose, xyz (m) and Euler angles (rad), as one more token per
            frame.
        states: How proprioception is taken; follows from the data set.
        state_model_width: Of the hidden layers that predict proprioception.
        cameras: K, whose tokens follow each other; ``tokens`` are those of all.

    Raises:
        ValueError: ``tokens`` is no square of each camera, heads do not divide the width into 6
            channels or more, or there are no such states.
    """

    tokens: Count = 64
    token_width: Width = 128
    action_width: Width = 7
    state_width: Features = 7
    width: Width = 128
    depth: Depth = 4
    heads: Count = 4
    mlp_ratio: Positive = 4.0
    context_frames: Frames = 2
    residual: bool = True
    raw_inputs: bool = False
    tiled_rope: bool = False
    extrinsics: bool = False
    states: StateLayout = field(default_factory=StateLayout)
    state_model_width: Width = 128
    cameras: Count = 1

    def __post_init__(self) -> None:
        if self.cameras * isqrt(self.tokens // self.cameras) ** 2 != self.tokens:
            raise ValueError(
                f"Expected a square number of tokens per frame of each of {self.cameras} "
                f"camera(s), got {self.tokens}."
            )
        check_heads(self.width, self.heads)
        self.states.check(self.state_width, self.action_width)


class TokenPredictor(nn.Module):
    """Latents, actions and states of frames to the latents of the frames that follow.

    Actions and states come in physical units; statistics travel as buffers.

    Attributes:
        checkpointing: While training on whole windows, compute activations of the blocks twice
            rather than keep them.
    """

    def __init__(self, config: TokenPredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpointing = False
        width = config.width
        self.scale_actions = ActionScaling(config.action_width)
        self.state_features = config.states.features(config.state_width)
        self.state_model = config.states.model(
            self.state_features.width, config.action_width, config.state_model_width
        )
        state_inputs = config.state_width if config.raw_inputs else self.state_features.width
        self.predictor_embed = nn.Linear(config.token_width, width)
        self.action_encoder = nn.Linear(config.action_width, width)
        self.state_encoder = linear(state_inputs, width)
        if config.extrinsics:
            self.extrinsics_encoder = nn.Linear(EXTRINSICS_WIDTH, width)
        if config.cameras > 1:  # patches of one place in two pictures differ by this alone
            self.camera_embed = nn.Parameter(0.02 * torch.randn(config.cameras, width))
        self.predictor_blocks = nn.ModuleList(
            Block(width, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.predictor_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.predictor_proj = nn.Linear(width, config.token_width)
        initialise(self, self.predictor_blocks)

    def imagine_in(self, dtype: torch.dtype) -> None:
        """Keep the weights in another precision. For planning only: it cannot be trained then."""
        keep_weights_in(dtype, [self])

    def forward(
        self, latents: Tensor, actions: Tensor, states: Tensor, extrinsics: Tensor | None = None
    ) -> Tensor:
        """Every frame's successor, from that frame and the earlier ones, before it is normed.

        Args:
            latents: ``[B, T, N, D]``.
            actions: The action applied at each frame, ``[B, T, A]``.
            states: ``[B, T, P]``.
            extrinsics: Pose of the camera, ``[B, T, 6]``, if the model uses it.

        Returns:
            Predictions ``[B, T, N, D]``, not yet layer-normed; the one at t is of frame t + 1.

        Raises:
            ValueError: A shape is not that of the model.
        """
        frames, per_frame = latents.shape[1], self.tokens_per_frame
        of_frame = torch.arange(frames, device=latents.device).repeat_interleave(per_frame)
        causal = of_frame.unsqueeze(1) >= of_frame
        return self._predict(latents, actions, states, extrinsics, 0, causal, None)

    def teacher_forced(
        self, latents: Tensor, actions: Tensor, states: Tensor, extrinsics: Tensor | None = None
    ) -> Tensor:
        """Layer-normed predictions ``[B, T, N, D]``; otherwise as `forward`."""
        return normalise(self(latents, actions, states, extrinsics))

    def prefill(
        self, latents: Tensor, actions: Tensor, states: Tensor, extrinsics: Tensor | None = None
    ) -> Caches:
        """Keys and values of frames whose actions are known, for ``advance``; shapes as above."""
        caches = [KeyValueCache() for _ in self.predictor_blocks]
        for t in range(latents.shape[1]):
            camera = None if extrinsics is None else extrinsics[:, t]
            self.advance(latents[:, t], actions[:, t], states[:, t], t, caches, camera)
        return caches

    def advance(
        self,
        latents: Tensor,
        actions: Tensor,
        states: Tensor,
        time: int,
        caches: Caches | None,
        extrinsics: Tensor | None = None,
    ) -> Tensor:
        """The frame after the newest one.

        The newest frame sees every key, so that no mask is needed.

        Args:
            latents: Of the newest frame, ``[B, N, D]``.
            actions: Applied at it, ``[B, A]``.
            states: ``[B, P]``.
            time: Its index since the start of the context.
            caches: Of the frames before it; the newest frame is added in place. None where none is
                before, nor follows.
            extrinsics: ``[B, 6]``, if the model uses them.

        Returns:
            Layer-normed latents ``[B, N, D]``.
        """
        camera = None if extrinsics is None else extrinsics.unsqueeze(1)
        newest = (latents.unsqueeze(1), actions.unsqueeze(1), states.unsqueeze(1), camera)
        return normalise(self._predict(*newest, time, None, caches).squeeze(1))

    def bytes_per_row(self, frames: int) -> int:
        """Of imagining a row by ``advance``, its last frame attending to ``frames``: an estimate.

        Keys and values of every block stay, unless there is one frame only; of activations, those
        of one block are alive at a time: some eight of the transformer's width, two of the MLP's,
        and four in float32 that rotate.
        """
        config, item = self.config, self.predictor_embed.weight.element_size()
        channels = self.tokens_per_frame * config.width
        kept = 2 * config.depth * frames * channels * item if frames > 1 else 0
        return kept + round(channels * ((8 + 2 * config.mlp_ratio) * item + 4 * 4))

    @property
    def hidden_bytes_per_row(self) -> int:
        """Of the widest activations of a frame, those within an MLP."""
        config, item = self.config, self.predictor_embed.weight.element_size()
        return round(self.tokens_per_frame * config.width * config.mlp_ratio * item)

    @property
    def tokens_per_frame(self) -> int:
        """Patches of a frame and what comes before them."""
        return self.config.tokens + (3 if self.config.extrinsics else 2)

    def _predict(
        self,
        latents: Tensor,
        actions: Tensor,
        states: Tensor,
        extrinsics: Tensor | None,
        first: int,
        mask: Tensor | None,
        caches: Caches | None,
    ) -> Tensor:
        self._check(latents, actions, states, extrinsics)
        config = self.config
        frames, side = latents.shape[1], isqrt(latents.shape[2] // config.cameras)
        dtype = self.predictor_embed.weight.dtype
        if not config.raw_inputs:
            states = self.state_features(states)
        scaled = self.scale_actions(actions)
        conditions = [self.action_encoder(scaled.to(dtype)), self.state_encoder(states.to(dtype))]
        if extrinsics is not None:
            conditions.append(self.extrinsics_encoder(extrinsics.to(dtype)))
        patches = self.predictor_embed(latents.to(dtype))
        if config.cameras > 1:
            patches = patches + self.camera_embed.repeat_interleave(side * side, 0)
        x = torch.cat((torch.stack(conditions, 2), patches), dim=2)
        x = x.flatten(1, 2)

        rotation = _rotation(
            first,
            frames,
            side,
            len(conditions),
            config.width // config.heads,
            config.tiled_rope,
            x.device,
            config.cameras,
        )

        for index, block in enumerate(self.predictor_blocks):
            if self.checkpointing and self.training and caches is None:
                x = checkpoint(block, x, rotation, mask, use_reentrant=False)
            else:
                x = block(x, rotation, mask, caches[index] if caches is not None else None)
        x = x.unflatten(1, (frames, -1))[:, :, len(conditions) :]
        change = self.predictor_proj(self.predictor_norm(x)).to(latents.dtype)
        return latents + change if config.residual else change

    def _check(
        self, latents: Tensor, actions: Tensor, states: Tensor, extrinsics: Tensor | None
    ) -> None:
        config = self.config
        leading = latents.shape[:2]
        expected = {
            "latents": (latents, (*leading, config.tokens, config.token_width)),
            "actions": (actions, (*leading, config.action_width)),
            "states": (states, (*leading, config.state_width)),
        }
        if config.extrinsics != (extrinsics is not None):
            raise ValueError(
                f"Expected {'' if config.extrinsics else 'no '}extrinsics, as this predictor was "
                f"built, got {'none' if extrinsics is None else list(extrinsics.shape)}."
            )
        if extrinsics is not None:
            expected["extrinsics"] = (extrinsics, (*leading, EXTRINSICS_WIDTH))
        for name, (tensor, shape) in expected.items():
            if tensor.shape != shape:
                raise ValueError(
                    f"Expected {name} of shape {list(shape)}, got {list(tensor.shape)}."
                )


@cache  # nothing is dropped: CUDA graphs read it where it lies
@torch.inference_mode(False)  # so that training may use what planning has made
def _rotation(
    first: int,
    frames: int,
    side: int,
    conditions: int,
    head_dim: int,
    tiled: bool,
    device: torch.device,
    cameras: int,
) -> Rotation:
    """How the tokens of some frames turn, once for all plans and blocks."""
    ids = torch.arange(first * side * side, (first + frames) * side * side, device=device)
    grid = token_positions(ids, side, side).unflatten(0, (frames, -1)).repeat(1, cameras, 1)
    # At row and column 0, the tokens before the patches are rotated in time only.
    before = grid[:, :1].expand(-1, conditions, -1)
    positions = torch.cat((before, grid), dim=1).flatten(0, 1)
    return rotation_table(positions, head_dim, tiled=tiled)
