"""Actions that are held for several environment steps, as peers' frame skip."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

__all__ = ["ActionRepeat"]


class ActionRepeat(gymnasium.Wrapper[Any, NDArray[np.float32], Any, NDArray[np.float32]]):
    """One step of it holds an action for ``repeat`` steps of the environment.

    Steps between are not rendered where the environment has ``advance(action)``. ``metadata``
    tells the lower rate.

    Args:
        env: The environment.
        repeat: Steps for which an action is held.

    Raises:
        ValueError: ``repeat`` is below 1.
    """

    def __init__(self, env: gymnasium.Env[Any, NDArray[np.float32]], repeat: int) -> None:
        if repeat < 1:
            raise ValueError(f"Expected repeat of at least 1, got {repeat}")
        super().__init__(env)
        self.repeat = repeat
        told = dict(env.metadata)
        if "render_fps" in told:
            told["render_fps"] = told["render_fps"] / repeat
        self.metadata = {**told, "repeat": repeat * told.get("repeat", 1)}

    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Hold an action; as `gymnasium.Env.step`."""
        inner = self.env
        advance = inner.get_wrapper_attr("advance") if inner.has_wrapper_attr("advance") else None
        for _ in range(self.repeat - 1):
            if advance is not None:
                advance(action)
                continue
            seen, reward, terminated, truncated, info = self.env.step(action)
            if terminated or truncated:
                return seen, float(reward), terminated, truncated, info
        seen, reward, terminated, truncated, info = self.env.step(action)
        return seen, float(reward), terminated, truncated, info
