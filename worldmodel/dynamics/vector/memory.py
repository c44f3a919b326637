"""Which moments of the data a model remembers."""

from __future__ import annotations

import torch
from torch import Tensor

from worldmodel.dynamics.recordings import Recordings
from worldmodel.predictors.memory import APART
from worldmodel.predictors.vector import VectorPredictor

__all__ = ["remember"]


@torch.no_grad()
def remember(model: VectorPredictor, data: Recordings, codes: Tensor) -> None:
    """Fill the model's memory with training episodes, every `APART` imagined steps of them.

    Whole episodes keep how one moment led to the next.

    Args:
        model: Whose memory.
        data: Where the moments are from.
        codes: Object latents of all rows, ``[F, C]``.
    """
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    apart = APART * model.config.stride
    episodes = [
        torch.arange(int(data.starts[e]), int(data.starts[e] + data.lengths[e]), apart)
        for e in data.train[order.numpy()]
    ]
    rows = torch.cat(episodes)[: model.config.memory]
    latents = torch.cat([codes[rows], model.state_features(data.states[rows])], -1)
    model.memory.fill(latents, rows)
