"""A predictor of patch tokens as first written: the yardstick for what makes a rollout fast.

For every imagined step the whole context runs through the model again, under a causal mask, and
every block works out its rotary angles anew, axis by axis, as ``ACRoPEAttention`` in V-JEPA 2's
released ``src/models/utils/modules.py`` does. That one projects actions and states apart from the
patches as well, which is left out here.

Shapes: B rows, T frames, N patches of width D, A action, P state.
"""

from __future__ import annotations

from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from worldmodel.nn.attention import Attention
from worldmodel.nn.blocks import Block, normalise
from worldmodel.nn.pose import difference
from worldmodel.predictors.imagination import Imagined
from worldmodel.predictors.proprioception import imagined_states
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor

__all__ = ["UncachedTokenWorld", "textbook_prediction"]


class UncachedTokenWorld:
    """A token world that runs every frame it is given through the predictor for every next one.

    Args:
        world: Whose predictions it makes, up to rounding.
        textbook: Work out angles in every block as well; or use the predictor's table.
    """

    stride = 1

    def __init__(self, world: TokenWorld, *, textbook: bool = True) -> None:
        self.encode, self.project = world.encode, world.project
        self._model, self._textbook = world.predictor, textbook

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        """Imagine one step of one candidate per context, which is all that it is asked for."""
        path = imagined_states(self._model, states[:, -1:], actions).states
        taken = torch.cat([difference(states[:, :-1], states[:, 1:]), actions.squeeze(1)], 1)
        if self._textbook:
            following = textbook_prediction(self._model, latents, taken, states)
        else:
            following = self._model.teacher_forced(latents, taken, states)
        return Imagined(
            following[:, None, -1:], path[:, :, 1:], actions, latents[:, -1], states[:, -1]
        )


def textbook_prediction(
    model: TokenPredictor, latents: Tensor, actions: Tensor, states: Tensor
) -> Tensor:
    """``model.teacher_forced`` without extrinsics, angles worked out in every block.

    Args:
        model: Whose weights to use.
        latents: ``[B, T, N, D]``.
        actions: ``[B, T, A]``.
        states: ``[B, T, P]``.

    Returns:
        ``[B, T, N, D]``.
    """
    config, dtype = model.config, model.predictor_embed.weight.dtype
    frames, per_frame = latents.shape[1], model.tokens_per_frame
    time = torch.arange(frames, device=latents.device).repeat_interleave(per_frame)
    causal = time.unsqueeze(1) >= time
    if not config.raw_inputs:
        states = model.state_features(states)
    action = model.action_encoder(model.scale_actions(actions).to(dtype)).unsqueeze(2)
    state = model.state_encoder(states.to(dtype)).unsqueeze(2)
    x = torch.cat([action, state, model.predictor_embed(latents.to(dtype))], 2).flatten(1, 2)
    for block in model.predictor_blocks:
        assert isinstance(block, Block)
        x = x + _attention(block.attn, block.norm1(x), frames, causal, config.tiled_rope)
        x = x + block.mlp(block.norm2(x))
    x = x.unflatten(1, (frames, -1))[:, :, 2:]
    change = model.predictor_proj(model.predictor_norm(x)).to(latents.dtype)
    return normalise(latents + change if config.residual else change)


def _attention(layer: Attention, x: Tensor, frames: int, mask: Tensor, tiled: bool) -> Tensor:
    """Of tokens ``[B, T * (2 + N), width]``, under a mask."""
    per_frame = x.shape[1] // frames
    token = torch.arange(x.shape[1], device=x.device)
    time, place = token // per_frame, (token % per_frame - 2).clamp(min=0)
    side = isqrt(per_frame - 2)
    queries, keys, values = (
        layer.qkv(x).unflatten(-1, (3, layer.heads, -1)).transpose(1, 3).unbind(2)
    )
    axes = (time, place // side, place % side)
    queries, keys = _rotated(queries, axes, tiled), _rotated(keys, axes, tiled)
    out = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    return layer.proj(out.transpose(1, 2).flatten(2))


def _rotated(x: Tensor, axes: tuple[Tensor, ...], tiled: bool) -> Tensor:
    """``x * cos + rotate_half(x) * sin`` of ``[B, heads, n, head_dim]``, a third for each axis."""
    part = 2 * (x.shape[-1] // 3 // 2)
    *thirds, rest = x.split([part, part, part, x.shape[-1] - 3 * part], dim=-1)
    frequency = 10000.0 ** -(torch.arange(0, part, 2, device=x.device).float() / part)
    turned = []
    for third, positions in zip(thirds, axes, strict=True):
        angle = positions.float().unsqueeze(-1) * frequency
        angle = angle.repeat(1, 2) if tiled else angle.repeat_interleave(2, dim=-1)
        half = torch.stack((-third[..., 1::2], third[..., ::2]), dim=-1).flatten(-2)
        turned.append(third.float() * angle.cos() + half.float() * angle.sin())
    return torch.cat([*(t.to(x.dtype) for t in turned), rest], dim=-1)
