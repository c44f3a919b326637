"""Actions for several environment steps: one that is held, or a chunk with one for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

__all__ = ["ActionRepeat"]

_LISTS = ("rest", "scale")
"""What ``metadata["actions"]`` has one of for each number of an action, beside names."""


class ActionRepeat(gymnasium.Wrapper[Any, NDArray[np.float32], Any, NDArray[np.float32]]):
    """One step of it is ``repeat`` steps of the environment, with one action or with a chunk.

    A chunk is an action for each of these steps, one after the other (Zhao et al.,
    arXiv:2304.13705): ``[repeat * A]`` numbers.

    Steps between are not rendered where the environment has ``advance(action)``. ``metadata``
    tells the lower rate.

    Args:
        env: The environment.
        repeat: Steps of the environment.
        chunked: Whether there is an action for each of them, or one is held.

    Raises:
        ValueError: ``repeat`` is below 1, or actions that are no ``Box`` are to be chunked.
    """

    def __init__(
        self, env: gymnasium.Env[Any, NDArray[np.float32]], repeat: int, chunked: bool = False
    ) -> None:
        if repeat < 1:
            raise ValueError(f"Expected repeat of at least 1, got {repeat}")
        super().__init__(env)
        self.repeat, self.chunked = repeat, chunked
        told = dict(env.metadata)
        if "render_fps" in told:
            told["render_fps"] = told["render_fps"] / repeat
        self.metadata = {**told, "repeat": repeat * told.get("repeat", 1)}
        if chunked:
            each = env.action_space
            if not isinstance(each, gymnasium.spaces.Box):
                raise ValueError(f"Expected actions in a Box to make chunks of, got {each}")
            low, high = np.tile(each.low, repeat), np.tile(each.high, repeat)
            self.action_space = gymnasium.spaces.Box(low, high, dtype=each.dtype.type)
            self.metadata |= {"chunked": True, "actions": self._chunk(told.get("actions", {}))}

    def _chunk(self, each: Mapping[str, Any]) -> dict[str, Any]:
        """What ``metadata`` says of a chunk, of what it says of an action."""
        told = {**each, **{key: list(each[key]) * self.repeat for key in _LISTS if key in each}}
        if "names" in each:
            steps = range(self.repeat)
            told["names"] = [f"{name}_{step}" for step in steps for name in each["names"]]
        if told.get("kind") == "pose_delta":
            told["kind"] = "delta"  # several of them do not compose with a state as one does
        return told

    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act; as `gymnasium.Env.step`.

        Args:
            action: ``[A]`` to hold, or a chunk ``[repeat * A]``, which is clipped to its bounds.

        Raises:
            ValueError: A chunk has another shape, or is not finite; nothing has moved then.
        """
        inner = self.env
        advance = inner.get_wrapper_attr("advance") if inner.has_wrapper_attr("advance") else None
        *before, last = self._parts(action) if self.chunked else [action] * self.repeat
        for taken in before:
            if advance is not None:
                advance(taken)
                continue
            seen, reward, terminated, truncated, info = self.env.step(taken)
            if terminated or truncated:
                return seen, float(reward), terminated, truncated, info
        seen, reward, terminated, truncated, info = self.env.step(last)
        return seen, float(reward), terminated, truncated, info

    def _parts(self, chunk: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """What is done in each step of the environment."""
        space, values = self.action_space, np.asarray(chunk, np.float32)
        assert isinstance(space, gymnasium.spaces.Box)
        if values.shape != space.shape or not np.isfinite(values).all():
            raise ValueError(
                f"Expected {space.shape[0]} finite numbers, an action for each of {self.repeat} "
                f"steps, got {chunk!r:.80}"
            )
        return np.split(values.clip(space.low, space.high), self.repeat)
