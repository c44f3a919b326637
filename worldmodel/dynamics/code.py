"""The scene code: what a frame holds beside the arm's own state.

Two things are asked of the code of one frame. With the arm's state at another moment nearby it must
suffice to predict that moment's frozen tokens: so it holds what the arm's state does not tell. And
with the code of a later frame it must suffice to tell where the arm went on the way there: so it
holds what made the difference to whoever acted, however few tokens that fills.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.stage import Workbench
from worldmodel.nn.mlp import mlp

__all__ = ["CodeTraining", "token_targets", "train_code"]

_CHANNELS = 16  # of a token that are predicted


@dataclass(frozen=True)
class CodeTraining:
    """Settings.

    Attributes:
        steps: Iterations.
        batch: Frames per iteration, once for the tokens and once for the way.
        window: Frames within which the objects are taken to lie still on average.
        sigma: Standard deviation that predicted tokens are allowed; larger drops more.
        way: Frames ahead at which it is told where the arm has gone.
        way_weight: Of that, beside the tokens.
        goal_rate: Of the geometric distribution of frames to the later frame.
        learning_rate: At its highest.
    """

    steps: int = 8000
    batch: int = 256
    window: int = 6
    sigma: float = 0.5
    way: tuple[int, ...] = (1, 2, 4, 7, 10)
    way_weight: float = 50.0
    goal_rate: float = 0.07
    learning_rate: float = 1e-3


def train_code(bench: Workbench, config: CodeTraining) -> None:
    """Train the planning head's code."""
    head, data, features = bench.model.head, bench.data, bench.features
    rows = data.rows(data.train)
    setting_out = data.rows(data.train, max(config.way) + 1)
    first, last = data.first_rows(), data.last_rows()
    targets = token_targets(data.latents, rows, bench.generator)
    code, state = bench.model.config.code_width, features.shape[-1]
    # Both wither once the code is trained.
    decoder = mlp(code + state, 512, 2, targets.shape[-1])
    guide = mlp(2 * code + state, 256, 2, len(config.way) * state)
    moving = (features[rows].std(0) > 0.5).float()  # the rest is the noise of what is held still

    def sampled(frames: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = head.distribution(data.latents[frames].float())
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
        return mean + (0.5 * log_variance).exp() * bench.normal(mean.shape), divergence

    def losses() -> dict[str, Tensor]:
        here = bench.draw(rows, config.batch)
        shift = bench.integers(-config.window, config.window + 1, len(here))
        there = (here + shift).clamp(first[here], last[here])
        codes, divergence = sampled(here)
        decoded = decoder(torch.cat([codes, features[there]], -1))
        error = (decoded - targets[there].float()).square().sum(-1)

        start = bench.draw(setting_out, config.batch)
        goal = torch.minimum(start + bench.ahead(config.goal_rate, len(start)), last[start])
        begin, end = sampled(torch.cat([start, goal]))[0].chunk(2)
        told = guide(torch.cat([begin, features[start], end], -1)).unflatten(-1, (-1, state))
        gone = features[start[:, None] + torch.tensor(config.way)] - features[start, None]
        missed = F.smooth_l1_loss(told, gone, reduction="none", beta=0.1) * moving
        return {
            "tokens": error.mean() / (2 * config.sigma**2),
            "divergence": divergence.mean(),
            "way": config.way_weight * missed.sum((-2, -1)).mean(),
        }

    parameters = [*head.code.parameters(), *decoder.parameters(), *guide.parameters()]
    bench.optimise("code", parameters, config.steps, config.learning_rate, losses)


def token_targets(tokens: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    """What is predicted: the leading principal components of tokens, ``[F, N * channels]``.

    Components are taken over ``rows`` only, centred per token and scaled together.
    """
    sample = tokens[rows[torch.randint(len(rows), (2000,), generator=generator)]].float()
    mean = sample.mean(0)
    flat = (sample - mean).flatten(0, 1)
    _, vectors = torch.linalg.eigh(flat.T @ flat)
    basis = vectors[:, -_CHANNELS:]
    scale = (flat @ basis).std()
    parts = [
        (((part.float() - mean) @ basis) / scale).flatten(1).half() for part in tokens.split(4096)
    ]
    return torch.cat(parts)
