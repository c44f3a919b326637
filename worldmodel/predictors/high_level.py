"""The slow time scale as planners see it: a world whose actions are macro-actions.

Shapes: B episodes, S candidates, K macros of width U, Z planning latent; N = 1 token per frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from worldmodel.errors import UserError
from worldmodel.predictors.imagination import Imagined
from worldmodel.predictors.vector import VectorPredictor
from worldmodel.predictors.vector_world import VectorWorld, perturbed

__all__ = ["HighLevelWorld", "MacroPrior"]


class HighLevelWorld:
    """A vector world in steps of macro-actions; fulfils ``planners.HighLevelWorld``.

    Imagined latents hold object latent and proprio features, both predicted. Imagined states are
    decoded from the proprio features. There is one model, so no disagreement: what keeps a search
    with what is known is that macros are standard normal.

    Args:
        world: Its encoder, and its macro-actions.

    Raises:
        UserError: The world was trained without macro-actions.
    """

    stride = 1

    def __init__(self, world: VectorWorld) -> None:
        if not bool(world.predictor.macros.trained):
            raise UserError(
                "Expected a checkpoint with macro-actions, got one without; add them with "
                "`worldmodel train init=…`, with the steps of all other stages 0"
            )
        self._world, self._model = world, world.predictor

    @property
    def span(self) -> int:
        """Control steps per macro-action."""
        return self._model.config.macro_steps

    @property
    def action_width(self) -> int:
        """U."""
        return self._model.config.macro_width

    def encode(self, frames: Tensor) -> Tensor:
        """Frozen tokens ``[B, T, N, D]`` of ``uint8`` frames ``[B, T, h, w, 3]``."""
        return self._world.encode(frames)

    def project(self, latents: Tensor, reference: Tensor) -> Tensor:
        """Planning latents ``[B, T, 1, Z]``; see ``VectorWorld.project``."""
        return self._world.project(latents, reference)

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        """Imagine macros ``[B, S, K, U]``; see ``planners.protocols.World``."""
        model = self._model
        following = self._world.grounded(latents[:, -1], states[:, -1])
        following = following.expand(-1, actions.shape[1], -1)
        imagined: list[Tensor] = []
        for macro in actions.unbind(2):
            following = model.macros(following, macro)
            imagined.append(following)
        planning = torch.stack(imagined, 2)
        return Imagined(
            planning.unsqueeze(3),
            model.state_features.inverse(model.proprio(planning)),
            actions,
            latents[:, -1],
            states[:, -1],
        )

    def prior(self, goal_latents: Tensor, with_proprio: Tensor | bool = False) -> MacroPrior:
        """The macro prior towards goals whose latents are ``[B, 1, Z]``; see ``VectorWorld``."""
        return MacroPrior(self._model, self._model.goals(goal_latents[:, 0], with_proprio))


class MacroPrior:
    """Macros that led to such goals in the data, rolled out; fulfils ``planners.Proposal``.

    The first proposal is the prior's own; the others are perturbed by ``noise``.
    """

    def __init__(self, model: VectorPredictor, goals: Tensor, noise: float = 0.5) -> None:
        self._model, self._goals, self._noise = model, goals, noise

    def __call__(
        self,
        latents: Tensor,
        states: Tensor,
        *,
        samples: int,
        horizon: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Candidates ``[B, samples, horizon, U]``; see ``planners.protocols.Proposal``."""
        model = self._model
        goals = self._goals[:, None].expand(-1, samples, -1)
        features = model.state_features(states[:, -1])
        following = torch.cat([model.object_latents(latents[:, -1, 0]), features], -1)
        following = following[:, None].expand(-1, samples, -1)
        chosen: list[Tensor] = []
        for _ in range(horizon):
            macro = model.macros.prior(following, goals)
            chosen.append(perturbed(macro, self._noise, generator))
            following = model.macros(following, chosen[-1])
        return torch.stack(chosen, 2)
