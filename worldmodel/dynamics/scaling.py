"""The scale of actions and proprioception, which a world keeps from the data it first saw."""

from __future__ import annotations

from worldmodel.dynamics.recordings import Recordings
from worldmodel.predictors.tokens import TokenPredictor
from worldmodel.predictors.vector import VectorPredictor

__all__ = ["fit_scaling"]


def fit_scaling(model: VectorPredictor | TokenPredictor, data: Recordings) -> None:
    """Take the scale of actions and states from the training episodes, for a fresh model.

    A world that goes on from another keeps its own: what it learned is in that scale. A predictor
    with ``raw_inputs`` takes actions as they are.
    """
    rows = data.rows(data.train)
    if not (isinstance(model, TokenPredictor) and model.config.raw_inputs):
        model.scale_actions.fit(data.actions[rows], data.rest)
    model.state_features.fit(data.states[rows], data.hidden or ())
