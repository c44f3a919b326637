"""Macro-actions: a few numbers for what the next control steps do, and what that leads to.

A conditional variational model, as in hierarchical latent planning (arXiv:2604.03208), where
macro-actions compress primitive ones too. Standard normal macros lead to what the data's behaviour
could lead to, so a search over them stays with what is known.

Shapes: see ``worldmodel.predictors.vector``; U = width of a macro.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worldmodel.nn.gaussian import moments
from worldmodel.nn.mlp import mlp

__all__ = ["Macros"]


class Macros(nn.Module):
    """Encoder of macro-actions, high-level dynamics and macro prior, on grounded planning latents.

    In those the proprio features are of the state, as in imagined ones. The encoder sees the
    actions and where they start, but not where they lead: so a macro cannot encode chance.

    Args:
        latent: Z.
        actions: Width of all actions of a macro, ``macro_steps * A``.
        macro: U.
        width: Of the hidden layers.
        depth: Hidden layers.
    """

    def __init__(self, latent: int, actions: int, macro: int, *, width: int, depth: int) -> None:
        super().__init__()
        self.encoder = mlp(latent + actions, width, depth, 2 * macro)
        self.dynamics = mlp(latent + macro, width, depth, latent)
        self.prior_net = mlp(2 * latent + 1, width, depth, macro)
        self.trained: Tensor
        self.register_buffer("trained", torch.tensor(False))

    def distribution(self, latents: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance ``[..., U]`` of the macro that stands for actions.

        Args:
            latents: Where they start, ``[..., Z]``.
            actions: Scaled, ``[..., macro_steps * A]``.
        """
        return moments(self.encoder(torch.cat([latents, actions], -1)))

    def forward(self, latents: Tensor, macros: Tensor) -> Tensor:
        """Latents ``[..., Z]`` after macros ``[..., U]``."""
        return latents + self.dynamics(torch.cat([latents, macros], -1))

    def prior(self, latents: Tensor, goals: Tensor) -> Tensor:
        """The macro ``[..., U]`` that usually led to goals ``[..., G]``."""
        return self.prior_net(torch.cat([latents, goals], -1))
