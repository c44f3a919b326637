"""Whether a scene is known again with the arm elsewhere: validation on held-out episodes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.dynamics.recordings import Recordings
from worldmodel.predictors.vector import VectorPredictor

__all__ = ["Recognition", "nearness", "recognition"]

_ELSEWHERE = 2.0  # distance of proprio features, each of unit variance
_STILL, _MOVED = 0.03, (0.4, 0.8)  # of the objects' spread
_SAME = 1e-3  # distance of vectors that always count as equal


def nearness(vectors: Tensor, data: Recordings, stride: int, unmoved: float = 0.5) -> Tensor:
    """The distance of vectors ``[F, ...]`` of frames below which two show the same scene.

    Twice what those of neighbouring frames differ between which objects do not move. They are
    taken for more than the share ``unmoved`` of all: the quantile that is looked at.
    """
    rows = data.rows(data.train, stride + 1)
    apart = (vectors[rows] - vectors[rows + stride]).norm(dim=-1)
    return 2 * apart.quantile(unmoved).clamp(min=_SAME)  # nothing may ever move


@dataclass(frozen=True)
class Recognition:
    """Of pairs of moments of an episode with the arm elsewhere, those taken for the same scene.

    Attributes:
        unmoved: Share of those between which objects moved by less than 3 % of their spread.
        moved: Share of those between which they moved by 40 to 80 % of it.
    """

    unmoved: float
    moved: float


@torch.inference_mode()
def recognition(
    model: VectorPredictor, data: Recordings, latents: Tensor, pairs: int = 100_000
) -> dict[str, Recognition]:
    """By *object latents*, and by *scenes*, from which the arm is taken out.

    Without privileged positions, or without such pairs, it is empty.

    Args:
        model: Trained.
        data: Where the rows are.
        latents: Planning latents of all rows, ``[F, Z]``.
        pairs: How many to try.
    """
    if data.objects is None:
        return {}
    generator = torch.Generator().manual_seed(0)
    rows = data.rows(data.held_out)
    here = rows[torch.randint(len(rows), (pairs,), generator=generator)]
    first, last = data.first_rows()[here], data.last_rows()[here]
    there = first + (torch.rand(pairs, generator=generator) * (last - first + 1)).long()
    codes, arm = model.object_latents(latents), model.state_features(data.states)
    elsewhere = (arm[here] - arm[there]).norm(dim=-1) > _ELSEWHERE
    path = (data.objects[here] - data.objects[there]).norm(dim=-1) / data.objects_spread
    unmoved, moved = path < _STILL, (path > _MOVED[0]) & (path < _MOVED[1])
    if not (unmoved & elsewhere).any() or not (moved & elsewhere).any():
        return {}
    found: dict[str, Recognition] = {}
    for name, vectors in (("object_latents", codes), ("scenes", model.scenes(codes, arm))):
        near = nearness(vectors, data, model.config.stride)
        same = ((vectors[here] - vectors[there]).norm(dim=-1) < near).float()
        found[name] = Recognition(
            *(float(same[group & elsewhere].mean()) for group in (unmoved, moved))
        )
    return found
