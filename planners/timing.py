"""Reading the clock: how long each part of a plan took, and whether another iteration fits.

Without profiling and without a deadline, nothing here waits for the device.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import torch

__all__ = ["Countdown", "Pace", "Stopwatch", "synchronize"]


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it; a CPU always has."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()


class Stopwatch:
    """Seconds per named part; switched off, it reads no clock."""

    def __init__(self, device: torch.device, enabled: bool) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._enabled = enabled
        self._last = self._now() if enabled else 0.0

    def lap(self, part: str) -> None:
        """Credit the time since the last lap to ``part``."""
        if self._enabled:
            now = self._now()
            self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
            self._last = now

    def _now(self) -> float:
        synchronize(self._device)
        return time.perf_counter()


class Pace(NamedTuple):
    """What searches with deadlines learn of their own time, handed on from plan to plan.

    Attributes:
        seconds: From the beginning of the last search to the end of its first iteration; 0 where
            that is not known.
        overruns: Searches in a row whose first iteration ended behind the deadline.
        idle: Plans since the last search.
    """

    seconds: float = 0.0
    overruns: int = 0
    idle: int = 0


class Countdown:
    """Whether there is time for a search, and for one more iteration of it.

    A search begins if its first iteration fits, taking as long as last time. Lest one hiccup end
    all searching, it is tried again in any case after some plans; their number doubles with each
    try that overruns, so that a deadline that no iteration fits is overrun ever more seldom.
    Another iteration begins if it fits, should it be as slow as the slowest so far.

    Args:
        device: That computes.
        deadline: A ``time.perf_counter()`` reading, or None to read no clock.
        pace: What the plans before have learned.

    Attributes:
        pace: What this one adds.
    """

    def __init__(self, device: torch.device, deadline: float | None, pace: Pace) -> None:
        self._device, self._deadline, self._before = device, deadline, pace
        self._started = 0.0 if deadline is None else time.perf_counter()
        self._last: float | None = None
        self._slowest = 0.0
        self.pace = pace if deadline is None else pace._replace(idle=pace.idle + 1)

    def allows_search(self) -> bool:
        """Ask before anything is computed."""
        if self._deadline is None:
            return True
        left, before = self._deadline - self._started, self._before
        return before.seconds <= left or (left > 0 and before.idle >= 2 ** (before.overruns - 1))

    def begin(self) -> None:
        """Let the time until now count for no iteration: others follow."""
        self._last = None

    def allows_another(self) -> bool:
        """Ask once before each iteration, and after the last."""
        if self._deadline is None:
            return True
        synchronize(self._device)
        now = time.perf_counter()
        late = now > self._deadline
        if self._slowest == 0 and (late or self._last is not None):
            # The first one has ended, or comes too late by what had to be done before it.
            self.pace = Pace(now - self._started, self._before.overruns + 1 if late else 0)
        if self._last is not None:
            self._slowest = max(self._slowest, now - self._last)
        self._last = now
        return now + self._slowest <= self._deadline
