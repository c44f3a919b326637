"""The predictor of LeWorldModel: a causal transformer over the last latents, one of each frame.

LeWorldModel (Maes et al. 2026, arXiv:2603.19312): actions steer every block by adaptive layer norm
that starts at zero (AdaLN-zero, Peebles and Xie 2023, arXiv:2212.09748). An imagined step is one
block of actions. The head behind it is that of the encoder, with weights of its own.

The usual sizes are smaller than the paper's (6 blocks of width 192 with 16 heads of 64), because
they are for two CPU cores. ``predictor=lewm_published`` has those of the paper. It deviates in one
thing: what the robot feels is predicted beside the latents, for whoever asks; latents never see it.
Nor do they see the inverse model (`InverseModel`), which belongs to another method.

Shapes: R rows, T frames of at most ``history``, D latent, A action, K imagined steps.
"""

from __future__ import annotations

from dataclasses import field

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.nn.projection import projection
from worldmodel.nn.standardisation import ActionScaling
from worldmodel.precision import keep_weights_in
from worldmodel.predictors.inverse import InverseModel
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.settings import CHECKED, Count, Features, Frames, Layers, Share, Width

__all__ = ["LewmPredictor", "LewmPredictorConfig", "inverse_model"]


@dataclass(frozen=True, config=CHECKED)
class LewmPredictorConfig:
    """Sizes of LeWorldModel's predictor.

    Attributes:
        latent_width: D; that of the encoder.
        action_width: A.
        state_width: P.
        stride: Control steps per imagined step, whose actions come as one block. In data of
            ``collect repeat=5`` one action stands for five environment steps already.
        history: Frames that it looks back on, the present one included.
        width: Of the transformer.
        depth: Its blocks.
        heads: Its attention heads.
        head_width: Of each.
        mlp_width: Hidden width of its MLPs.
        block_width: Numbers that a block of actions is brought to before its MLP.
        projection_width: Of the hidden layer between transformer and latent.
        dropout: In training.
        states: How proprioception is taken; follows from the data set.
        state_model_width: Of the hidden layers that predict proprioception.
        inverse_width: Of the hidden layers of the inverse model.
        inverse_ahead: Imagined steps that its goals may be away.
        cameras: One.
    """

    latent_width: Width = 192
    action_width: Width = 2
    state_width: Features = 0
    stride: Count = 1
    history: Frames = 3
    width: Width = 96
    depth: Layers = 4
    heads: Count = 4
    head_width: Width = 24
    mlp_width: Width = 384
    block_width: Width = 10
    projection_width: Width = 256
    dropout: Share = 0.0
    states: StateLayout = field(default_factory=lambda: StateLayout(composed=False))
    state_model_width: Width = 128
    inverse_width: Width = 512
    inverse_ahead: Frames = 10
    cameras: Count = 1

    def __post_init__(self) -> None:
        self.states.check(self.state_width, self.action_width)


class LewmPredictor(nn.Module):
    """Latents and blocks of actions to the latents of the frames that follow.

    Actions come in physical units; statistics travel as buffers.
    """

    def __init__(self, config: LewmPredictorConfig) -> None:
        super().__init__()
        self.config = config
        latent, width, drop = config.latent_width, config.width, config.dropout
        self.scale_actions = ActionScaling(config.action_width)
        self.state_features = config.states.features(config.state_width)
        self.state_model = config.states.model(
            self.state_features.width,
            config.stride * config.action_width,
            config.state_model_width,
        )
        self.action_encoder = nn.Sequential(
            nn.Linear(config.stride * config.action_width, config.block_width),
            nn.Linear(config.block_width, 4 * latent),
            nn.SiLU(),
            nn.Linear(4 * latent, latent),
        )
        self.positions = nn.Parameter(torch.randn(1, config.history, latent))
        self.embed = _between(latent, width)
        self.embed_action = _between(latent, width)
        self.blocks = nn.ModuleList(
            _Block(width, config.heads, config.head_width, config.mlp_width, drop)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.unembed = _between(width, latent)
        self.projector = projection(latent, config.projection_width, latent)
        self.inverse = inverse_model(config)

    def imagine_in(self, dtype: torch.dtype) -> None:
        """Keep the weights in another precision. For planning only: it cannot be trained then.

        The head stays as it is, for batch norm takes numbers of the kind of its statistics.
        """
        kept = [part for part in self.children() if part is not self.projector]
        keep_weights_in(dtype, kept)
        self.positions.data = self.positions.data.to(dtype)

    def forward(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Every frame's successor, from that frame and those before it (teacher forcing).

        Args:
            latents: ``[R, T, D]``.
            actions: The block applied at each frame, ``[R, T, stride, A]``, physical units.

        Returns:
            Predictions ``[R, T, D]``; the one at t is of frame t + 1.
        """
        x = self.embed(latents + self.positions[:, : latents.shape[1]])
        for block, steering in zip(self.blocks, self._steering(actions), strict=True):
            x = block(x, steering)
        return self._latents(x)

    def imagine(self, latents: Tensor, actions: Tensor) -> Tensor:
        """The latents that follow one after the other, each seeing the last ``history`` ones.

        While there are no more frames than that, keys and values of the earlier ones are kept.
        Then the window slides, positions move with it, and all of it is computed again.

        Args:
            latents: Of the present frame, ``[R, D]``.
            actions: ``[R, K, stride, A]``, physical units.

        Returns:
            ``[R, K, D]``.
        """
        history, steering = self.config.history, self._steering(actions)
        seen = [latents]
        pasts = [_Past() for _ in self.blocks]
        for k in range(actions.shape[1]):
            growing = k < history
            # In a window that still grows the newest frame alone is new, at its place in it.
            first = k if growing else k + 1 - history
            place = first if growing else 0
            x = torch.stack(seen[first:], 1).to(self.positions.dtype)
            x = self.embed(x + self.positions[:, place : place + x.shape[1]])
            for number, block in enumerate(self.blocks):
                now = steering[number][:, first : k + 1]
                if growing:
                    x = block(x, now, past=pasts[number])
                else:
                    x = block(x, now, last=number == len(self.blocks) - 1)
            seen.append(self._latents(x[:, -1]))
        return torch.stack(seen[1:], 1)

    @property
    def _blocks(self) -> list[_Block]:
        return [block for block in self.blocks if isinstance(block, _Block)]

    def _steering(self, actions: Tensor) -> list[Tensor]:
        """Shifts, scales and gates of every block ``[R, T, 6 width]`` for ``[R, T, stride, A]``."""
        scaled = self.scale_actions(actions).flatten(2).to(self.norm.weight.dtype)
        condition = F.silu(self.embed_action(self.action_encoder(scaled)))
        return [block.modulation(condition) for block in self._blocks]

    def _latents(self, x: Tensor) -> Tensor:
        """Latents ``[..., D]`` of what the blocks give, ``[..., width]``."""
        rows = self.unembed(self.norm(x)).flatten(0, -2)
        latents: Tensor = self.projector(rows.to(self.projector[0].weight.dtype))
        return latents.unflatten(0, x.shape[:-1])


def inverse_model(config: LewmPredictorConfig) -> InverseModel:
    """An untrained one, of these sizes."""
    block = config.stride * config.action_width
    return InverseModel(config.latent_width, block, config.inverse_width, config.inverse_ahead)


def _between(inputs: int, outputs: int) -> nn.Module:
    """From one width to another; nothing where they are equal, as in the paper."""
    return nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs)


class _Past:
    """Keys and values of the frames that a block has seen, ``[R, heads, n, head_width]``."""

    def __init__(self) -> None:
        self._kept: tuple[Tensor, Tensor] | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """These behind those, which are kept."""
        if self._kept is not None:
            keys, values = (
                torch.cat([self._kept[0], keys], 2),
                torch.cat([self._kept[1], values], 2),
            )
        self._kept = keys, values
        return self._kept


class _Block(nn.Module):
    """Causal attention and an MLP, both steered by the action of their frame.

    Layer norms follow one another, the first without affine: so the released weights have it.
    """

    def __init__(self, width: int, heads: int, head_width: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.heads, self.drop = heads, drop
        self.norm1 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.proj = nn.Sequential(nn.Linear(heads * head_width, width), nn.Dropout(drop))
        self.norm2 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(drop),
            nn.Linear(hidden, width),
            nn.Dropout(drop),
        )
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: Tensor, steering: Tensor, past: _Past | None = None, last: bool = False
    ) -> Tensor:
        """Frames ``[R, n, width]``, same shape.

        Args:
            x: Frames in order.
            steering: What `modulation` makes of their actions, ``[R, n, 6 width]``.
            past: Frames before these, of which there may be one only then; extended by it.
            last: Only the last frame is asked for, ``[R, 1, width]``.
        """
        shift, scale, gate, *of_mlp = steering.chunk(6, -1)
        attended = self._attend(_steered(self.norm1(x), shift, scale), past, last)
        if last:
            x, gate, of_mlp = x[:, -1:], gate[:, -1:], [part[:, -1:] for part in of_mlp]
        x = x + gate * attended
        shift, scale, gate = of_mlp
        return x + gate * self.mlp(_steered(self.norm2(x), shift, scale))

    def _attend(self, x: Tensor, past: _Past | None, last: bool) -> Tensor:
        qkv = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4)
        if past is not None:
            keys, values = past.extend(keys, values)
        if last:
            queries = queries[:, :, -1:]
        found = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            dropout_p=self.drop if self.training else 0.0,
            is_causal=queries.shape[2] > 1,  # one frame, the newest, sees all
        )
        attended: Tensor = self.proj(found.transpose(1, 2).flatten(2))
        return attended


def _steered(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift
