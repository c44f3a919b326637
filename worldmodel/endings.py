"""Signals that end a command: SIGTERM and SIGHUP end it as Ctrl-C does, its processes with it."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Ending", "ending_signals"]

_UNHEEDED = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


class Ending:
    """Which signal came, if one did.

    Attributes:
        number: Of the signal, or None.
    """

    number: int | None = None

    def heed(self, number: int, frame: FrameType | None) -> None:
        """End the processes that were started here, then what the main thread is doing."""
        self.number = number
        for process in multiprocessing.active_children():
            process.terminate()  # a signal to this process alone does not reach them
        raise KeyboardInterrupt


@contextmanager
def ending_signals() -> Generator[Ending]:
    """Heeds the signals in the block; what else was to become of them, as under nohup, stays so.

    A block that ends with another error after a signal has most likely ended of it: a worker that
    was terminated is seen as one that failed. So whoever handles errors looks at ``number`` first.
    """
    ending = Ending()
    before = {}
    if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
        for number, usual in _UNHEEDED.items():
            if signal.getsignal(number) is usual:
                before[number] = signal.signal(number, ending.heed)
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
