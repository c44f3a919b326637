"""Reading the clock: how long each part of a plan took, and whether another iteration fits.

Without profiling and without a deadline, nothing here waits for the device.
"""

from __future__ import annotations

import time

import torch

__all__ = ["Countdown", "Stopwatch", "synchronize"]


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


class Countdown:
    """Whether one more iteration fits before a deadline, if it is as slow as the slowest so far.

    Args:
        device: That computes.
        deadline: A ``time.perf_counter()`` reading, or None to read no clock.
        expected: What the first iteration will take, s; None to let it run in any case.

    Attributes:
        first: What the first iteration took, s; ``expected`` or 0 before there was one.
    """

    def __init__(
        self, device: torch.device, deadline: float | None, expected: float | None = None
    ) -> None:
        self.first = expected or 0.0
        self._device, self._deadline, self._expected = device, deadline, expected
        self._last: float | None = None
        self._slowest = 0.0

    def begin(self) -> None:
        """Let the time until now count for no iteration: others follow."""
        self._last = None

    def allows_another(self) -> bool:
        """Ask once before each iteration."""
        if self._deadline is None:
            return True
        synchronize(self._device)
        now = time.perf_counter()
        last, self._last = self._last, now
        if last is None and self._slowest == 0:
            return self._expected is None or now + self._expected <= self._deadline
        if last is None:
            return now + self._slowest <= self._deadline
        self.first = now - last if self._slowest == 0 else self.first
        self._slowest = max(self._slowest, now - last)
        return now + self._slowest <= self._deadline
