"""What recordings have in common that do not say how many frames there are a second."""

from __future__ import annotations

import numpy as np

from worldmodel.data.episode import Floats, Indices
from worldmodel.errors import UserError

__all__ = ["USUAL_FPS", "without_unused"]

USUAL_FPS = 10.0
"""Frames a second that timestamps are counted at, where a dataset is not ``timed``."""


def without_unused(actions: Floats, lengths: Indices, source: str) -> Floats:
    """Actions ``[F,A]`` with zeros for those last ones of episodes that are NaN.

    Raises:
        UserError: Another one is not finite; the error names episode and frame.
    """
    actions, last = actions.copy(), np.cumsum(lengths) - 1
    actions[last[np.isnan(actions[last]).all(axis=1)]] = 0
    if (wrong := ~np.isfinite(actions).all(axis=1)).any():
        row = int(wrong.argmax())
        episode = int(np.searchsorted(last, row))
        step = row - int(last[episode] - lengths[episode] + 1)
        raise UserError(
            f"Expected finite numbers in {source}, got NaN or infinity at frame {step} of episode "
            f"{episode}. Mend the recording, or leave the episode out. (Only an episode's last "
            "action may be NaN.)"
        )
    return actions
