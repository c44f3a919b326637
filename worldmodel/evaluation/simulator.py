"""True futures: candidates carried out in the simulator that the episode itself runs in.

A simulator is in one state at a time, so it tells the futures of one episode only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from worldmodel.envs.protocol import Simulator

__all__ = ["of_one_episode", "true_futures"]

SeenT = TypeVar("SeenT")


def of_one_episode(values: Tensor) -> Tensor:
    """What ``[1, S, ...]`` holds of its only episode, ``[S, ...]``.

    Raises:
        ValueError: There are several episodes.
    """
    if len(values) != 1:
        raise ValueError(
            f"Expected candidates of one episode, [1,S,...], got {list(values.shape)}; a simulator "
            "is in one state at a time, so evaluate with a single environment"
        )
    return values[0]


def true_futures(
    environment: Simulator, actions: Tensor, stride: int, look: Callable[[], SeenT]
) -> list[SeenT]:
    """Carry out candidates from where the simulator is, and leave it there.

    Args:
        environment: The episode's simulator.
        actions: Candidates of one episode, ``[1, S, H, A]``, physical units.
        stride: Control steps between looks.
        look: Called after every ``stride`` control steps of a candidate.

    Returns:
        What it saw, ``S * (H // stride)`` in all, candidate by candidate.

    Raises:
        ValueError: The candidates are of several episodes.
    """
    candidates = of_one_episode(actions).detach().double().numpy()
    seen: list[SeenT] = []
    start = environment.snapshot()
    for candidate in candidates:
        for step, action in enumerate(candidate, start=1):
            environment.advance(action)
            if step % stride == 0:
                seen.append(look())
        environment.restore(start)
    return seen
