"""A signal that ends a command ends the processes that it started."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import pytest

from worldmodel.endings import ending_signals


def test_processes_end_with_the_command_that_started_them() -> None:
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=time.sleep, args=(3600,))
    worker.start()
    with pytest.raises(KeyboardInterrupt), ending_signals() as ending:
        os.kill(os.getpid(), signal.SIGTERM)
    worker.join()
    assert worker.exitcode == -signal.SIGTERM
    assert ending.number == signal.SIGTERM


def test_a_signal_that_is_to_be_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with ending_signals() as ending:
            os.kill(os.getpid(), signal.SIGHUP)
        assert ending.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_of_its_own_may_run_a_command() -> None:
    seen = []

    def run() -> None:
        with ending_signals() as ending:
            seen.append(ending.number)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [None]
