"""Gradient planning: Adam on action sequences, through the world's rollout, from several starts.

For a batch of episodes at once. Backpropagating a plan's energy through the learned dynamics is as
old as these (Schmidhuber 1990; for latent worlds UPN, arXiv:1804.00645, §3). Steps are taken in
shares of the action range and projected onto the bounds; the plan is the best sequence that was
evaluated, from whichever start and step.

Shapes: see ``planners.protocols``; S is the number of starts.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.planners.box import ActionBox
from worldmodel.planners.noise import autoregressive
from worldmodel.planners.search import Search
from worldmodel.planners.sequence import SequenceConfig, SequencePlanner
from worldmodel.planners.settings import (
    CHECKED,
    Correlation,
    Iterations,
    Positive,
    Proposals,
    Samples,
    Weight,
)

__all__ = ["Gradient", "GradientConfig", "descend", "improve"]


@dataclass(frozen=True, config=CHECKED)
class GradientConfig(SequenceConfig):
    """Settings of the gradient search.

    Attributes:
        samples: Starts that are improved side by side.
        iterations: Evaluations, with a step of Adam between each and the next.
        learning_rate: Of Adam, as a share of half the action range.
        std: Spread of the starts around the first, in the same share.
        correlation: Correlation of this noise in neighbouring steps, 0 for white.
    """

    samples: Samples = 12
    iterations: Iterations = 12
    learning_rate: Positive = 0.1
    std: Weight = 0.35
    correlation: Correlation = 0.5
    proposals: Proposals = 6


class Gradient(SequencePlanner[GradientConfig]):
    """The planner."""

    gradients = True

    def __init__(
        self, config: GradientConfig, low: Tensor, high: Tensor, rest: Tensor | None = None
    ) -> None:
        super().__init__(config, low, high, rest)
        self._std = config.std * self.box.half_range
        self._colour = autoregressive(config.horizon, config.correlation, low)

    def find(self, search: Search) -> None:
        """Search."""
        config = self.config
        noise = search.noise(config.samples, self._colour)
        starts = search.around(search.first, self._std, noise, proposals=True)
        descend(search, self.box, starts, config.iterations, config.learning_rate)


def descend(
    search: Search, box: ActionBox, starts: Tensor, iterations: int, learning_rate: float
) -> None:
    """Improve sequences ``[B, S, H, A]`` by Adam; the search remembers the best of all steps.

    Nothing is improved after the last evaluation, as nobody would see it. Where an energy is not
    finite, its sequence goes back to where it last was.
    """
    shares = box.shares(starts).requires_grad_()
    adam, known = torch.optim.Adam([shares], lr=learning_rate), shares.detach().clone()
    for number in search.rounds(iterations):
        energy = search.evaluate(box.actions(shares), required=number == 0).energy
        if number < iterations - 1:
            known = improve(adam, shares, energy, known)


def improve(adam: torch.optim.Adam, shares: Tensor, energy: Tensor, known: Tensor) -> Tensor:
    """One step of Adam down the energies, within the bounds.

    Args:
        adam: Of the shares.
        shares: Of sequences ``[B, S, H, A]``; moved in place.
        energy: Theirs, ``[B, S]``.
        known: Where each of them last had a finite energy; those without one go back there.

    Returns:
        ``known``, brought up to date.

    Raises:
        ValueError: No gradient gets through the world.
    """
    if not energy.requires_grad:
        raise ValueError(
            "Expected a world that gradients pass through, got one whose energies do not depend "
            "on actions differentiably; plan with planner=cem or another that samples"
        )
    finite = energy.isfinite()
    (gradient,) = torch.autograd.grad(energy.where(finite, 0.0).sum(), shares)
    with torch.no_grad():
        known = shares.where(finite[:, :, None, None], known)
        shares.copy_(known)
        shares.grad = gradient.nan_to_num(0.0, 0.0, 0.0)
        adam.step()
        shares.clamp_(-1, 1)
    return known
