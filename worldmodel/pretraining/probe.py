"""What frozen latents know: effective rank, feature std, positions read out by ridge regression.

Positions of objects are privileged simulator state. They are used here to judge latents, never to
train them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.finite import NotFiniteError, not_finite, remedy
from worldmodel.pretraining.anticollapse import centre, effective_rank

__all__ = ["LatentProbe", "LatentReport", "RidgeProbe", "fit_ridge", "position_error_cm"]

_PENALTIES = torch.logspace(-6, 1, 15, dtype=torch.float64)


class RidgeProbe(NamedTuple):
    """A linear read-out of flattened latents."""

    weights: Tensor
    input_mean: Tensor
    output_mean: Tensor

    def __call__(self, latents: Tensor) -> Tensor:
        """Targets ``[..., Y]`` read from latents ``[..., N, D]``."""
        return (latents.float().flatten(-2) - self.input_mean) @ self.weights + self.output_mean


def fit_ridge(latents: Tensor, targets: Tensor) -> RidgeProbe:
    """Ridge regression from ``[M, N, D]`` to ``[M, Y]``, penalty by leave-one-out error.

    Solved in the dual form, M x M, because flattened latents are wider than there are frames.

    Raises:
        NotFiniteError: Targets, latents or their squares are not finite.
    """
    inputs = latents.float().flatten(1)
    input_mean, output_mean = inputs.mean(0), targets.float().mean(0)
    inputs, outputs = inputs - input_mean, targets.float() - output_mean
    gram = (inputs @ inputs.T).double()
    # Centred again: what float32 left along the mean would decide for the smallest penalties.
    gram = gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean()
    if wrong := not_finite({"squares of latents": gram, "targets": outputs}):
        raise NotFiniteError(
            f"Expected finite numbers to fit a probe to, got others as {wrong[0]}. {remedy()}."
        )
    values, vectors = torch.linalg.eigh(gram)
    values = values.clamp_min(0)
    projected = vectors.T @ outputs.double()
    best: tuple[float, Tensor] | None = None
    for penalty in (_PENALTIES * values.amax().clamp_min(1e-12)).tolist():
        shrunk = penalty / (values + penalty)
        residual = vectors @ (shrunk.unsqueeze(1) * projected)
        # The mean is fitted too, which costs 1 / M of a degree of freedom per sample.
        left_out = residual / (vectors.square() @ shrunk - 1 / len(inputs)).unsqueeze(1)
        error = float(left_out.square().mean())
        if best is None or error < best[0]:
            best = (error, (residual / penalty).float())
    assert best is not None
    return RidgeProbe(inputs.T @ best[1], input_mean, output_mean)


def position_error_cm(predicted: Tensor, true: Tensor) -> float:
    """Mean Euclidean distance in cm between positions ``[..., dims]`` in metres."""
    return float((predicted - true).norm(dim=-1).mean() * 100)


@dataclass(frozen=True)
class LatentReport:
    """Health of an encoder's latents on held-out single frames.

    Attributes:
        rank: Effective rank of what varies between scenes, between 1 and D.
        std: Mean over features of their standard deviation between scenes.
        width: D, the largest rank there can be.
        errors_cm: Position error per probed thing.
    """

    rank: float
    std: float
    width: int
    errors_cm: Mapping[str, float]

    def metrics(self) -> dict[str, float]:
        """Flat, for logs."""
        errors = {f"probe_{name}_cm": error for name, error in self.errors_cm.items()}
        return {"rank": self.rank, "std": self.std, **errors}


@dataclass(frozen=True)
class LatentProbe:
    """Frames of fitting and of held-out episodes, with the positions to be read from them.

    Attributes:
        frames: Fitting frames ``uint8 [M, h, w, 3]``.
        held_out: Held-out frames ``uint8 [V, h, w, 3]``.
        positions: Name to fitting and held-out positions, ``[M, dims]`` and ``[V, dims]`` in m.
    """

    frames: NDArray[np.uint8]
    held_out: NDArray[np.uint8]
    positions: Mapping[str, tuple[Tensor, Tensor]]

    @staticmethod
    def draw(
        frames: NDArray[np.uint8],
        fitting: NDArray[np.int64],
        held_out: NDArray[np.int64],
        positions: Mapping[str, NDArray[np.float32]],
        *,
        samples: int = 1500,
        seed: int = 0,
    ) -> LatentProbe:
        """Draw ``samples`` fitting frames and a third as many held-out ones.

        Args:
            frames: All frames of a dataset, ``uint8 [F, h, w, 3]``.
            fitting: Indices of frames in fitting episodes.
            held_out: Indices of frames in held-out episodes.
            positions: Name to positions of every frame, ``[F, dims]`` in m.
            samples: Fitting frames.
            seed: Of the draw.
        """
        rng = np.random.default_rng(seed)
        train = np.sort(rng.choice(fitting, min(samples, len(fitting)), replace=False))
        held = np.sort(rng.choice(held_out, min(samples // 3, len(held_out)), replace=False))
        return LatentProbe(
            np.ascontiguousarray(frames[train]),
            np.ascontiguousarray(frames[held]),
            {
                name: (torch.from_numpy(values[train]), torch.from_numpy(values[held]))
                for name, values in positions.items()
            },
        )

    def evaluate(self, encoder: FrozenEncoder) -> LatentReport:
        """Judge an encoder.

        Raises:
            NotFiniteError: Its latents are not finite.
        """
        held_out = _encode(encoder, self.held_out)
        scenes = centre(held_out)
        errors: dict[str, float] = {}
        if self.positions:
            fitting = _encode(encoder, self.frames)
            joint = torch.cat([train for train, _ in self.positions.values()], dim=1)
            read = fit_ridge(fitting, joint)(held_out)
            widths = [held.shape[1] for _, held in self.positions.values()]
            for (name, (_, true)), predicted in zip(
                self.positions.items(), read.split(widths, dim=1), strict=True
            ):
                errors[name] = position_error_cm(predicted, true)
        return LatentReport(
            effective_rank(scenes), float(scenes.std(0).mean()), encoder.width, errors
        )


def _encode(encoder: FrozenEncoder, frames: NDArray[np.uint8], batch: int = 64) -> Tensor:
    chunks = torch.from_numpy(frames).split(batch)
    latents = torch.cat([encoder.encode(chunk.unsqueeze(1)).squeeze(1).cpu() for chunk in chunks])
    if not_finite({"latents": latents}):
        raise NotFiniteError(
            f"Expected an encoder with finite latents, got NaN or infinities. {remedy()}."
        )
    return latents
