"""Positions of objects as latents have them: a read-out fitted to privileged simulator state.

It judges latents, and lets a true cost be asked of imagined ones; nothing is ever trained on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.pretraining.probe import fit_ridge
from worldmodel.schedule import cosine_with_warmup
from worldmodel.training_loop import TrainingLoop

__all__ = ["PositionProbe", "fit_probe"]

_WIDTH, _STEPS, _BATCH, _RATE = 256, 2000, 512, 3e-3
_RIDGE_ROWS = 3000


class PositionProbe(Protocol):
    """Reads positions ``[..., 3]`` (m) from latents ``[..., N, D]``."""

    def __call__(self, latents: Tensor) -> Tensor:
        """Positions of latents."""
        ...


def fit_probe(latents: Tensor, positions: Tensor, rows: Tensor) -> PositionProbe:
    """Fit a probe; the same one every time, and global random streams stay put.

    A code of a few numbers bends where the table does not, so single codes (N = 1) are read by a
    small network; the thousands of numbers in patch tokens by ridge regression.

    Args:
        latents: Of all frames, ``[F, N, D]``; may be half precision and memory-mapped.
        positions: Of all frames, ``[F, 3]`` (m).
        rows: The frames to fit to.

    Raises:
        UserError: Latents or positions are not finite.
    """
    if latents.shape[1] == 1:
        return _fit_network(latents[rows], positions[rows])
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    sample = rows[order[:_RIDGE_ROWS]]
    return fit_ridge(latents[sample], positions[sample])


@dataclass(frozen=True)
class _Network:
    """A perceptron of two hidden layers between standardised ends."""

    layers: nn.Sequential
    mean: Tensor
    std: Tensor
    middle: Tensor
    extent: Tensor

    def __call__(self, latents: Tensor) -> Tensor:
        inputs = (latents.float().flatten(-2) - self.mean) / self.std
        return self.layers(inputs) * self.extent + self.middle


@torch.inference_mode(False)
def _fit_network(codes: Tensor, positions: Tensor) -> _Network:
    inputs = codes.float().flatten(-2)
    mean, std = inputs.mean(0), inputs.std(0).clamp_min(1e-6)
    middle, extent = positions.mean(0), positions.std(0).amax().clamp_min(1e-6)
    inputs, targets = (inputs - mean) / std, (positions - middle) / extent

    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(0)
        network = nn.Sequential(
            nn.Linear(inputs.shape[1], _WIDTH),
            nn.GELU(),
            nn.Linear(_WIDTH, _WIDTH),
            nn.GELU(),
            nn.Linear(_WIDTH, targets.shape[1]),
        )

    def losses(_: int) -> dict[str, Tensor]:
        batch = torch.randint(len(inputs), (_BATCH,), generator=generator)
        return {"error": F.mse_loss(network(inputs[batch]), targets[batch])}

    loop = TrainingLoop(
        "Fitting the probe of positions",
        torch.optim.Adam(network.parameters(), _RATE),
        losses,
        _STEPS,
        _RATE,
        lambda step: cosine_with_warmup(step, _STEPS, 0.05),
    )
    for _ in loop:
        pass
    loop.figures()  # raises where one was not finite
    return _Network(network.requires_grad_(False), mean, std, middle, extent)
