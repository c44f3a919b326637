"""Reachability: how many imagined steps lead from one moment to another, as a quasimetric.

What it costs to get somewhere is a quasimetric whatever the world: nothing at all to stay, never
more than by way of a third place, and not the same there and back (Wang et al., arXiv:2304.01203,
section 2). So it is computed as one. Moments are embedded as vectors, and the distance between two
is an interval quasimetric embedding (IQE; Wang and Isola, arXiv:2211.15120, sections 3 and 4).

A goal that shows a scene, wherever the arm is, is one more point of the same space: no costlier to
get to than the moment that shows it. See `Reachability.embed`.

Shapes: ``...`` any leading axes, Z planning latent, G = Z + 1 goal rows as
``VectorPredictor.goals`` makes them, M components of L intervals, E = M * L embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Reachability", "covered_length"]

_COMPONENTS, _INTERVALS = 8, 16
_UNIT = 10.0  # imagined steps per unit of an embedding, so that a fresh network is about in range
_SHARPNESS = 5.0  # of what lifts moments above scenes, so that a fresh one lifts them but little


def covered_length(here: Tensor, there: Tensor) -> Tensor:
    """Length of the union of the intervals from ``here`` up to ``there``, ``[...]``.

    An interval whose ``there`` is not above its ``here`` is empty. It is 0 from anywhere to itself,
    and obeys the triangle inequality (arXiv:2211.15120, equation 4).

    Args:
        here: ``[..., L]``.
        there: ``[..., L]``; axes broadcast.
    """
    here, there = torch.broadcast_tensors(here, there)
    low, order = here.sort(-1)
    high = torch.maximum(here, there).gather(-1, order)
    before = torch.cat([low[..., :1], high.cummax(-1).values[..., :-1]], -1)
    return (high - torch.maximum(low, before)).relu().sum(-1)


class Reachability(nn.Module):
    """Imagined steps from moments to goals, a quasimetric by construction.

    Args:
        scene: Embeds the scenes of planning latents ``[..., Z]`` as ``[..., E]``.
        arm: Embeds planning latents likewise.
    """

    def __init__(self, scene: nn.Module, arm: nn.Module) -> None:
        super().__init__()
        self.scene, self.arm = scene, arm
        self.blend = nn.Parameter(torch.zeros(()))

    width = _COMPONENTS * _INTERVALS

    def embed(self, rows: Tensor) -> Tensor:
        """Embeddings ``[..., E]`` of goal rows ``[..., G]``, that is of moments or of scenes.

        A moment lies above its scene in every number, so the way from it to its scene is 0; by the
        triangle inequality it is then no farther than the moment itself.
        """
        latents, counts = rows[..., :-1], rows[..., -1:]
        above = nn.functional.softplus(self.arm(latents), _SHARPNESS)
        return self.scene(latents) + counts * above

    def forward(self, here: Tensor, there: Tensor) -> Tensor:
        """Imagined steps ``[...]`` between embeddings ``[..., E]``; axes broadcast.

        Components are reduced by a learned mixture of maximum and mean (arXiv:2211.15120,
        section 4, IQE-maxmean).
        """
        shape = (_COMPONENTS, _INTERVALS)
        lengths = covered_length(here.unflatten(-1, shape), there.unflatten(-1, shape))
        return _UNIT * torch.lerp(lengths.mean(-1), lengths.amax(-1), self.blend.sigmoid())
