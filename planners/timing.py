"""Reading the clock: how long each part of a plan took, and whether another iteration fits.

Without profiling and without a deadline, nothing here waits for the device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from worldmodel.planners import clock

__all__ = ["Countdown", "Lead", "Pace", "Stopwatch", "synchronize"]


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
        return clock.now()


class Lead(NamedTuple):
    """How long something takes that is done before a deadline or not at all.

    It is done if it fits, taking as long as the faster of the last two times: one that was slow may
    have been a hiccup. Lest two of them end it for ever, it is tried again in any case after some
    plans; their number doubles with each try that overruns like the one before, so that a deadline
    that it never fits is overrun ever more seldom.

    Attributes:
        seconds: From the beginning of a plan until it was done, in the faster of the last two; 0
            where that is not known.
        latest: In the last one.
        overruns: Times in a row that so many seconds were more than there were.
        idle: Plans since it was done.
    """

    seconds: float = 0.0
    latest: float = 0.0
    overruns: int = 0
    idle: int = 0

    def fits(self, left: float) -> bool:
        """Whether to do it in the seconds that are left."""
        return self.seconds <= left or (left > 0 and self.idle >= 2 ** (self.overruns - 1))

    def done(self, seconds: float, left: float) -> Lead:
        """Once it was, in so many seconds, where so many were left."""
        usual = min(seconds, self.latest or seconds)
        return Lead(usual, seconds, self.overruns + 1 if usual > left else 0)


class Pace(NamedTuple):
    """What plans with deadlines learn of their own time, each from the one before.

    Attributes:
        asking: The policy prior alone, which takes less time than the many proposals of a search.
        searching: A first iteration, with all that comes before it.
    """

    asking: Lead = Lead()
    searching: Lead = Lead()


class Countdown:
    """Whether there is time to ask the prior, to search, and for one more iteration of a search.

    Another iteration begins if it fits, should it be as slow as the slowest so far.

    Args:
        device: That computes.
        deadline: A ``time.perf_counter()`` reading, or None to read no clock.
        pace: What the plans before have learned.
        closing: What follows the last iteration, counted in iterations.

    Attributes:
        pace: What this one adds.
    """

    def __init__(
        self, device: torch.device, deadline: float | None, pace: Pace, closing: int = 0
    ) -> None:
        self._device, self._before, self._closing = device, pace, closing
        self._started = 0.0 if deadline is None else clock.now()
        self._limit = None if deadline is None else deadline - self._started
        self._last: float | None = None
        self._slowest = 0.0
        self.pace = pace if deadline is None else Pace(*(p._replace(idle=p.idle + 1) for p in pace))

    def allows_search(self) -> bool:
        """Ask before anything is computed."""
        return self._limit is None or self._before.searching.fits(self._limit)

    def allows_asking(self) -> bool:
        """Whether the prior can be asked, without a search."""
        return self._limit is None or self._before.asking.fits(self._limit)

    def asked(self) -> None:
        """Tell it that the prior was asked, without a search."""
        if self._limit is not None:
            asking = self._before.asking.done(self._elapsed(), self._limit)
            self.pace = self.pace._replace(asking=asking)

    def begin(self) -> None:
        """Let the time until now count for no iteration: others follow."""
        self._last = None

    def allows_another(self) -> bool:
        """Ask once before each iteration, and after the last."""
        if self._limit is None:
            return True
        elapsed = self._elapsed()
        if self._slowest == 0 and (elapsed > self._limit or self._last is not None):
            # The first one has ended, or comes too late by what had to be done before it.
            took = 0.0 if self._last is None else elapsed - self._last
            searching = self._before.searching.done(elapsed + self._closing * took, self._limit)
            self.pace = self.pace._replace(searching=searching)
        if self._last is not None:
            self._slowest = max(self._slowest, elapsed - self._last)
        self._last = elapsed
        return elapsed + (1 + self._closing) * self._slowest <= self._limit

    def _elapsed(self) -> float:
        synchronize(self._device)
        return clock.now() - self._started
