"""Coarse-to-fine re-scoring: a cheap energy for all candidates, the costly one for the best few.

Searches ask which candidates are the best and never how bad the worst are, so that most of what a
costly energy computes is thrown away.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from worldmodel.planners.protocols import Energy, Futures, Total, Trajectory

__all__ = ["CoarseToFine"]


class CoarseToFine:
    """An energy that is only known of the candidates that a cheap one puts first.

    The others follow behind the worst of these, in the order of the cheap energy; their terms are
    NaN. Where the costly energy is finite for none of the best, nothing is known of the others
    either: theirs is infinite. Of no more candidates than ``best`` it alone is asked.

    Args:
        fine: What is minimised.
        coarse: Ranks candidates nearly as well, for less.
        best: Candidates of each episode that the costly energy is asked about; a search should fit
            its Gaussian to no more elites than that.
    """

    def __init__(self, fine: Total, coarse: Energy, best: int) -> None:
        if best < 1:
            raise ValueError(f"Expected the best of at least 1 candidate, got {best}")
        self._fine, self._coarse, self._best = fine, coarse, best

    def __call__(self, trajectory: Trajectory) -> tuple[Tensor, dict[str, Tensor]]:
        """Energies ``[B, S]``, and their terms by name, alike."""
        if trajectory.actions.shape[1] <= self._best:
            return self._fine(trajectory)
        coarse = self._coarse(trajectory)
        coarse = coarse.masked_fill(~torch.isfinite(coarse), torch.inf)
        least, index = coarse.topk(self._best, largest=False)
        fine, terms = self._fine(_some(trajectory, index))
        worst = fine.masked_fill(~torch.isfinite(fine), -torch.inf).amax(1, keepdim=True)
        worst = worst.masked_fill(worst == -torch.inf, torch.inf)
        # Strictly behind, also where both energies are the same for all. For gradients the way
        # there is a constant: a candidate descends as it would among any others.
        behind = worst.detach() + (coarse - least[:, -1:].detach())
        behind = torch.nextafter(behind, torch.full_like(worst, torch.inf))
        unknown = torch.full_like(coarse, torch.nan)
        return (
            behind.scatter(1, index, fine),
            {name: unknown.scatter(1, index, term) for name, term in terms.items()},
        )

    def to_go(self, futures: Futures) -> Tensor:
        """The costly term that asks where paths lead, ``[B, S]``: plans ask of few paths."""
        return self._fine.to_go(futures)

    def goal_alone(self) -> Total:
        """That term alone."""
        return self._fine.goal_alone()


class _Some(NamedTuple):
    """Some candidates of a trajectory; see ``planners.protocols.Trajectory``."""

    latents: Tensor
    states: Tensor
    actions: Tensor
    start_latents: Tensor
    start_states: Tensor
    members: Tensor | None


def _some(whole: Trajectory, index: Tensor) -> _Some:
    """Those of an index ``[B, best]``."""

    def of(values: Tensor, axis: int = 1) -> Tensor:
        shape = [1] * (axis - 1) + list(index.shape) + [1] * (values.ndim - axis - 1)
        return values.take_along_dim(index.view(shape), axis)

    return _Some(
        of(whole.latents),
        of(whole.states),
        of(whole.actions),
        whole.start_latents,
        whole.start_states,
        None if whole.members is None else of(whole.members, 2),
    )
