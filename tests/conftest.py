"""Settings for every test, and a clock that no busy machine disturbs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from worldmodel import precision


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # The models are tiny; threads that wait for each other would take most of the time.
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _one_precision() -> Iterator[None]:
    # Which one a CPU is faster in would be asked of its clock, and decide what tests compute.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "_product_seconds", lambda dtype: 1.0)
        yield


class Clock:
    """Stands still, but for what a test lets pass; takes the place of ``planners.clock``.

    Other threads always have the time they need: ``settle``, and so ``sleep``, waits until each of
    them waits itself. A thread counts from the first time on that it waits.

    Attributes:
        time: What it shows, s.
        reading: Seconds that pass at each look at it.
    """

    PATIENCE = 60.0  # real seconds; a thread that takes longer is taken for one that hangs

    def __init__(self) -> None:
        self.time, self.reading = 100.0, 0.0
        self.lock = threading.RLock()
        self.rests: dict[threading.Thread, bool] = {}
        self.settled = threading.Condition(self.lock)

    def now(self) -> float:
        with self.lock:
            self.time += self.reading
            return self.time

    def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        self.settle()
        self.time = max(self.time, until)

    def settle(self) -> None:
        """Let every other thread do what it has to do."""
        me = threading.current_thread()

        def done() -> bool:
            others = {thread for thread in self.rests if thread.is_alive()} - {me}
            return all(self.rests[thread] for thread in others)

        with self.settled:
            assert self.settled.wait_for(done, self.PATIENCE), "a thread never waits"

    def condition(self) -> Condition:
        return Condition(self)


class Condition(threading.Condition):
    """Tells a clock which threads wait."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock.lock)
        self.clock, self.waiting = clock, set[threading.Thread]()

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        self.clock.rests.setdefault(threading.current_thread(), False)
        return super().wait_for(predicate, timeout)

    def wait(self, timeout: float | None = None) -> bool:
        me = threading.current_thread()
        self.waiting.add(me)
        self.clock.rests[me] = True
        self.clock.settled.notify_all()
        try:
            return super().wait(timeout)
        finally:
            self.waiting.discard(me)
            self.clock.rests[me] = False

    def notify_all(self) -> None:
        self.clock.rests.update(dict.fromkeys(self.waiting, False))
        super().notify_all()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What planners and agents go by in a test that asks for it."""
    clock = Clock()
    monkeypatch.setattr("planners.clock.now", clock.now)
    monkeypatch.setattr("planners.clock.sleep", clock.sleep)
    monkeypatch.setattr("planners.clock.Condition", clock.condition)
    return clock


WAITING = ("item", "_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal")
COPYING = ("to.dtype_layout", "to.device", "_to_copy", "resolve_conj", "resolve_neg")


class CountWaits(TorchDispatchMode):
    """Counts operations that make the host wait for the device: reading a value or a size."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removeprefix("aten::")
        self.count += name.split(".")[0] in WAITING or name in COPYING
        return func(*args, **(kwargs or {}))


@pytest.fixture
def count_waits() -> type[CountWaits]:
    return CountWaits
