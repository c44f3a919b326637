"""What training on cached latents reads: one row per frame, and which rows belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.data.windows import window_starts
from worldmodel.spec import Spec

__all__ = ["Recordings"]


@dataclass(frozen=True)
class Recordings:
    """Episodes laid end to end, F frames in all.

    Attributes:
        latents: Frozen tokens ``[F, N, D]``; may be half precision and memory-mapped.
        actions: ``float32 [F, A]``, physical units.
        states: ``float32 [F, P]``, physical units.
        starts: First row of each episode, ``[E]``.
        lengths: Frames of each episode, ``[E]``.
        train: Episodes to train on.
        held_out: Episodes to validate on.
        objects: Privileged object positions ``[F, 3 n]`` (m) for probes, or None.
        extrinsics: Poses of the camera ``float32 [F, 6]``, xyz (m) and extrinsic-xyz Euler angles
            (rad), or None.
        spec: What actions and states mean; None where nobody says.
    """

    latents: Tensor
    actions: Tensor
    states: Tensor
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    objects: Tensor | None = None
    extrinsics: Tensor | None = None
    spec: Spec | None = None

    @property
    def rest(self) -> tuple[float, ...]:
        """The action that does nothing; () for zero."""
        return () if self.spec is None else self.spec.actions.rest

    @property
    def hidden(self) -> tuple[int, ...] | None:
        """Where states stand that a picture cannot show; None to find them."""
        if self.spec is None:
            return ()
        hidden = self.spec.states.hidden
        return None if hidden is None else self.spec.states.places(hidden)

    @property
    def objects_spread(self) -> float:
        """Standard deviation of the objects' places in training episodes, m."""
        assert self.objects is not None
        known = self.objects[self.rows(self.train)]
        return float(known.var(0).sum().sqrt().clamp(min=1e-9))

    def rows(self, episodes: NDArray[np.int64], length: int = 1) -> Tensor:
        """First rows of all windows of ``length`` frames that lie within one of the episodes.

        Raises:
            UserError: No episode is that long.
        """
        return torch.from_numpy(window_starts(self, episodes, length))

    def question(self, latents: Tensor, frames: Tensor, stride: int) -> tuple[Tensor, ...]:
        """What a world is asked to imagine along windows: context and the actions taken since.

        Args:
            latents: Planning latents of all rows, ``[F, Z]``.
            frames: Rows of windows ``[R, K + 1]``, ``stride`` apart.
            stride: Control steps per imagined step.

        Returns:
            Latents ``[R, 1, 1, Z]``, states ``[R, 1, P]``, actions ``[R, 1, K * stride, A]``.
        """
        taken = self.actions[frames[:, :-1, None] + torch.arange(stride)].flatten(1, 2)
        return latents[frames[:, :1], None], self.states[frames[:, :1]], taken[:, None]

    def first_rows(self) -> Tensor:
        """For every row, the first row of its episode, ``[F]``."""
        return torch.from_numpy(np.repeat(self.starts, self.lengths))

    def last_rows(self) -> Tensor:
        """For every row, the last row of its episode, ``[F]``."""
        return torch.from_numpy(np.repeat(self.starts + self.lengths - 1, self.lengths))
