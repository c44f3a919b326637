"""Coarse-to-fine re-scoring: a cheap energy for all candidates, the costly one for the best few.

Searches ask which candidates are the best and never how bad the worst are, so that most of what a
costly energy computes is thrown away.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from planners.protocols import Energy, Futures, Total, Trajectory

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
        fine, terms = self._fine(_Some(trajectory, index))
        worst = fine.masked_fill(~torch.isfinite(fine), -torch.inf).amax(1, keepdim=True)
        worst = worst.masked_fill(worst == -torch.inf, torch.inf)
        # Strictly behind, also where both energies are the same for all.
        behind = torch.nextafter(worst + coarse - least[:, -1:], worst.new_tensor(torch.inf))
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


@dataclass(frozen=True)
class _Some:
    """Some candidates of a trajectory, of which only what is asked for is gathered.

    Attributes:
        whole: Of all S.
        index: Which, ``[B, best]``.
    """

    whole: Trajectory
    index: Tensor

    @cached_property
    def latents(self) -> Tensor:
        return self._of(self.whole.latents, 1)

    @cached_property
    def states(self) -> Tensor:
        return self._of(self.whole.states, 1)

    @cached_property
    def actions(self) -> Tensor:
        return self._of(self.whole.actions, 1)

    @cached_property
    def members(self) -> Tensor | None:
        return None if self.whole.members is None else self._of(self.whole.members, 2)

    @property
    def start_latents(self) -> Tensor:
        return self.whole.start_latents

    @property
    def start_states(self) -> Tensor:
        return self.whole.start_states

    def _of(self, values: Tensor, axis: int) -> Tensor:
        index = self.index.view(
            *[1] * (axis - 1), *self.index.shape, *[1] * (values.ndim - axis - 1)
        )
        return values.take_along_dim(index, axis)
