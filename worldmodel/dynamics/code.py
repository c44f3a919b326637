"""The scene code: what a frame holds beside the arm's own state.

A code of one frame, with the arm's state at another moment nearby, must suffice to predict that
moment's frozen tokens: so it holds what the arm's state does not tell. How the scene looks, which
is the same all through an episode, the decoder is shown in a third frame, from anywhere in the
episode: so the code need not hold that either, and keeps what moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldmodel.dynamics.stage import Workbench
from worldmodel.nn.mlp import mlp

__all__ = ["CodeTraining", "token_targets", "train_code"]

_CHANNELS = 16  # of a token that are predicted


@dataclass(frozen=True)
class CodeTraining:
    """Settings.

    Attributes:
        steps: Iterations.
        batch: Pairs of frames per iteration.
        window: Frames within which the objects are taken to lie still on average.
        sigma: Standard deviation that predicted tokens are allowed; larger drops more.
        learning_rate: At its highest.
    """

    steps: int = 6000
    batch: int = 256
    window: int = 6
    sigma: float = 0.5
    learning_rate: float = 1e-3


def train_code(bench: Workbench, config: CodeTraining) -> None:
    """Train the planning head's code."""
    head, data = bench.model.head, bench.data
    rows = data.rows(data.train)
    first, last = data.first_rows(), data.last_rows()
    targets = token_targets(data.latents, rows, bench.generator)
    sizes = bench.model.config
    decoder = _Decoder(sizes.code_width + bench.features.shape[-1], sizes.tokens, targets.shape[-1])

    def losses() -> dict[str, Tensor]:
        here = bench.draw(rows, config.batch)
        shift = bench.integers(-config.window, config.window + 1, len(here))
        there = (here + shift).clamp(first[here], last[here])
        length = last[here] - first[here] + 1
        elsewhere = first[here] + (bench.uniform(len(here)) * length).long()
        mean, log_variance = head.distribution(data.latents[here].float())
        sample = mean + (0.5 * log_variance).exp() * bench.normal(mean.shape)
        told = torch.cat([sample, bench.features[there]], -1)
        decoded = decoder(told, targets[elsewhere].float())
        error = (decoded - targets[there].float()).square().sum((-2, -1))
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
        return {
            "tokens": error.mean() / (2 * config.sigma**2),
            "divergence": divergence.mean(),
        }

    parameters = [*head.code.parameters(), *decoder.parameters()]
    bench.optimise("code", parameters, config.steps, config.learning_rate, losses)


class _Decoder(nn.Module):
    """Code and arm's state, and the tokens of another frame of the episode, to tokens.

    Per token it mixes what is told with what the other frame shows there: how much of that still
    holds, and what has come in its place.
    """

    def __init__(self, told: int, tokens: int, channels: int, width: int = 512) -> None:
        super().__init__()
        self._shape = (tokens, channels)
        self.read = mlp(told, width, 2, tokens * 2 * channels)
        self.look = mlp(tokens * channels, width // 2, 1, width // 4)
        self.shade = mlp(told + width // 4, width, 2, tokens * channels)

    def forward(self, told: Tensor, elsewhere: Tensor) -> Tensor:
        """Tokens ``[R, N, channels]``, from ``told [R, ...]`` and ``elsewhere`` like the result."""
        kept, scene = self.read(told).unflatten(-1, (len(elsewhere[0]), -1)).chunk(2, -1)
        look = self.look(elsewhere.flatten(1))
        shade = self.shade(torch.cat([told, look], -1)).unflatten(-1, self._shape)
        return kept.sigmoid() * elsewhere + scene + shade


def token_targets(tokens: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    """What is predicted: the leading principal components of tokens, ``[F, N, channels]``.

    Components are taken over ``rows`` only, centred per token and scaled together.
    """
    sample = tokens[rows[torch.randint(len(rows), (2000,), generator=generator)]].float()
    mean = sample.mean(0)
    flat = (sample - mean).flatten(0, 1)
    _, vectors = torch.linalg.eigh(flat.T @ flat)
    basis = vectors[:, -_CHANNELS:]
    scale = (flat @ basis).std()
    return torch.cat(
        [(((part.float() - mean) @ basis) / scale).half() for part in tokens.split(4096)]
    )
