"""LeWorldModel as planners see it: one latent a frame, imagined block of actions by block.

Shapes: B episodes, S candidates, H control steps, K = H / stride imagined steps, D latent width;
N = 1 token per frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.predictors.frozen_world import FrozenWorld
from worldmodel.predictors.imagination import Imagined
from worldmodel.predictors.lewm import LewmPredictor
from worldmodel.predictors.proprioception import imagined_states
from worldmodel.spec import Spec

__all__ = ["LewmWorld"]


class LewmWorld(FrozenWorld[LewmPredictor]):
    """An encoder and a predictor that were trained together; fulfils ``planners.protocols.World``.

    A single member, so it has no uncertainties to report. Nothing of it looks at the robot's state.

    Args:
        encoder: Of the camera's frames, a `LewmEncoder` inside; frozen by now.
        predictor: Of the latents that follow.
        spec: What actions, states and cameras mean; None where nobody said.
        rows: Candidates imagined at once; the others follow in turn.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        predictor: LewmPredictor,
        spec: Spec | None = None,
        rows: int = 512,
    ) -> None:
        super().__init__(encoder, predictor, spec)
        self.rows = rows

    @property
    def stride(self) -> int:
        """Control steps per imagined step."""
        return self.predictor.config.stride

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        """Imagine from the last context frame; nothing tells the actions between earlier ones.

        Args:
            latents: Context, ``[B, T, 1, D]``.
            states: Its states, ``[B, T, P]``.
            actions: Candidates, ``[B, S, H, A]``, physical units.

        Returns:
            Latents ``[B, S, K, 1, D]``, and the states that the actions lead to.
        """
        model, samples = self.predictor, actions.shape[1]
        path = imagined_states(model, states[:, -1:], actions, self.stride).states
        starts = latents[:, -1].expand(-1, samples, -1).flatten(0, 1)
        blocks = actions.unflatten(2, (-1, self.stride)).flatten(0, 1)
        parts = zip(starts.split(self.rows), blocks.split(self.rows), strict=True)
        imagined = torch.cat([model.imagine(start, block) for start, block in parts])
        return Imagined(
            imagined.unflatten(0, actions.shape[:2]).unsqueeze(3),
            path[:, :, 1:],
            actions,
            latents[:, -1],
            states[:, -1],
        )
