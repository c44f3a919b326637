"""Success by the rules of the public benchmarks, judged after every step of the simulation.

- ``moderate``: the scene meets the goal once.
- ``strict``: it meets a closer one, and stays for a few steps.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from worldmodel.envs.suite_env import SuiteEnv

__all__ = ["MODES", "Judged"]

MODES = ("moderate", "strict")


class Judged(gymnasium.Wrapper[Any, NDArray[np.float32], Any, NDArray[np.float32]]):
    """``info["success"]`` says whether the goal has been met since the episode's start.

    The audit CLEAR-LeWM, specification 0.8, sets these rules. They count single steps, so this
    wrapper stands beneath one that holds actions.

    Args:
        env: A suite's environment.
        mode: One of `MODES`.

    Raises:
        ValueError: There is no such mode.
    """

    def __init__(self, env: SuiteEnv, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f"Expected a mode of {MODES}, got {mode!r}")
        super().__init__(env)
        self._suite, self._strict = env, mode == "strict"
        self._needed = env.strict_steps if self._strict else 1
        self.begin()

    def begin(self) -> None:
        """Judge from now on."""
        self._in_a_row, self._met = 0, False

    def solved(self) -> bool:
        """Whether the present scene meets the goal, as far as one moment can show."""
        verdict = self._suite.verdict()
        return verdict.strict if self._strict else verdict.success

    @override
    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """As `gymnasium.Env.reset`."""
        seen = super().reset(**options)
        self.begin()
        return seen

    def advance(self, action: NDArray[np.floating[Any]]) -> None:
        """As `SuiteEnv.advance`, and judge."""
        self._suite.advance(action)
        self._judge()

    @override
    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As `SuiteEnv.step`, with success by the rule."""
        seen, _, terminated, truncated, info = self.env.step(action)
        self._judge()
        return seen, float(self._met), terminated, truncated, {**info, "success": self._met}

    def _judge(self) -> None:
        self._in_a_row = self._in_a_row + 1 if self.solved() else 0
        self._met = self._met or self._in_a_row >= self._needed
