"""The clock that planning and acting go by, and how their threads wait.

All of `planners` reads it, sleeps and waits here, through the module's name and not its own copy
of one: whoever puts another clock in the place of these three has put it everywhere.
"""

from __future__ import annotations

import threading
import time

__all__ = ["Condition", "now", "sleep"]

Condition = threading.Condition


def now() -> float:
    """A ``time.perf_counter()`` reading, s."""
    return time.perf_counter()


def sleep(seconds: float) -> None:
    """Let so much time pass."""
    time.sleep(seconds)
