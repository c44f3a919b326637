"""Acting while planning: one thread thinks, the other acts at its own rate and never waits.

Time is cut into slots of one control step. At the beginning of a slot its action is read off the
newest plan there is, and the observation is put before the planning thread together with that
action: the plan begins with what is done while it is made, as in real-time action chunking
(arXiv:2506.07339), and so fits what comes before it. Should it take longer than a slot, it is
followed as a path: an action is the rest of the way to where the plan wants to be by then, as far
as the bounds allow. Where no plan says anything of a slot, the robot holds still.

Shapes: B episodes, H control steps, A action, P state.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any, NamedTuple

import torch
from torch import Tensor

from planners.agent import Agent, PlanRecord

__all__ = ["Pulse", "RealTimeAgent", "Slots"]


@dataclass
class Slots:
    """How the slots of an episode went.

    Attributes:
        total: Slots in which an action was asked for.
        missed: Of these, those whose plan was not ready in time, so that an older one had to do.
        held: Of these, those that no plan covered: the robot held still.
    """

    total: int = 0
    missed: int = 0
    held: int = 0


class _Look(NamedTuple):
    """What was seen at the beginning of a slot."""

    slot: int
    frames: Tensor
    states: Tensor


class _Path(NamedTuple):
    """Where a plan that was looked at in a slot leads: displacements ``[B, H + 1, A]`` from 0."""

    slot: int
    displacements: Tensor


class RealTimeAgent:
    """Drives B episodes towards goal images at a fixed rate, planning in a thread of its own.

    A drop-in for `Agent`, but for the time that passes: `act` is to be called once per slot, and
    answers at once. Only its first call after a reset waits for a first plan, since a robot at rest
    misses nothing. To be closed, or used as a context manager.

    Args:
        agent: Looks and plans, in the other thread; its budget should be that of a slot.
        low: Lower action bounds ``[A]``, physical units.
        high: Upper action bounds ``[A]``.
        every: Slots from the beginning of one plan to that of the next.
        context: Looks that `agent` needs in a row.
    """

    def __init__(
        self, agent: Agent[Any], low: Tensor, high: Tensor, *, every: int = 1, context: int = 1
    ) -> None:
        self._agent, self._every = agent, every
        self._low, self._high = low.cpu(), high.cpu()
        self._changed = Condition()
        self._looks: deque[_Look] = deque(maxlen=context)
        self._path: _Path | None = None
        self._done: list[Tensor] = []
        self._wanted = False
        self._busy = self._closed = False
        self._error: BaseException | None = None
        self.slots = Slots()
        self._thread = Thread(target=self._think, name="planner", daemon=True)
        self._thread.start()

    def __enter__(self) -> RealTimeAgent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def records(self) -> list[PlanRecord]:
        """The plans made since the last reset."""
        with self._changed:
            return list(self._agent.records)

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Forget everything and take up new goals; see `Agent.reset`."""
        with self._changed:
            self._wanted = False
            self._changed.wait_for(lambda: not self._busy)
            self._raise()
            self._looks.clear()
            self._path, self._done, self.slots = None, [], Slots()
            self._agent.reset(goal_frames, seed=seed)

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """The action of the slot that begins, ``float32 [B, A]`` within the bounds, on the CPU.

        Args:
            frames: What the camera shows, ``uint8 [B, h, w, 3]``.
            states: Proprioception ``[B, P]``, physical units.

        Raises:
            Exception: Whatever stopped the planning thread.
        """
        with self._changed:
            self._raise()
            slot = self.slots.total
            self._looks.append(_Look(slot, frames, states))
            if slot == 0:
                self._ask()
                self._changed.wait_for(lambda: self._path is not None or self._error)
                self._raise()
            self._done.append(self._action(slot))
            if slot > 0 and slot % self._every == 0:
                self._ask()
            self.slots.total += 1
            return self._done[-1]

    def close(self) -> None:
        """End the planning thread, after the plan it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _ask(self) -> None:
        self._wanted = True
        self._changed.notify_all()

    def _action(self, slot: int) -> Tensor:
        """The rest of the way to where the plan wants to be at the end of a slot."""
        path = self._path
        assert path is not None
        due = max(slot - 1, 0) // self._every * self._every
        self.slots.missed += path.slot < due
        ahead = slot + 1 - path.slot
        if ahead >= path.displacements.shape[1]:
            self.slots.held += 1
            return torch.zeros_like(path.displacements[:, 0])
        since = sum(self._done[path.slot :], torch.zeros_like(path.displacements[:, 0]))
        return (path.displacements[:, ahead] - since).clamp(self._low, self._high)

    def _think(self) -> None:
        try:
            while self._plan_once():
                pass
        except BaseException as error:  # act() raises it in the thread that asked
            with self._changed:
                self._error, self._busy = error, False
                self._changed.notify_all()

    def _plan_once(self) -> bool:
        """Wait until a plan is asked for and make it; False once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._closed)
            if self._closed:
                return False
            looks = list(self._looks)
            slot = looks[-1].slot
            begun = torch.stack(self._done[slot:], 1) if self._done[slot:] else None
            self._looks.clear()
            self._wanted, self._busy = False, True
        for look in looks:
            self._agent.look(look.frames, look.states)
        actions = self._agent.plan(slot, begun).actions.float().cpu()
        start = torch.zeros_like(actions[:, :1])
        path = _Path(slot, torch.cat([start, actions], 1).cumsum(1))
        with self._changed:
            self._path, self._busy = path, False
            self._changed.notify_all()
        return True

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


class Pulse:
    """A clock that ticks at a fixed rate from its first tick on.

    Args:
        hz: Ticks per second.
    """

    def __init__(self, hz: float) -> None:
        if hz <= 0:
            raise ValueError(f"Expected a rate above 0 Hz, got {hz}")
        self.period = 1 / hz

    def ticks(self, count: int) -> Iterator[bool]:
        """Wait for each of some ticks; whether it had passed already."""
        start = time.perf_counter()
        for index in range(count):
            left = start + index * self.period - time.perf_counter()
            if left > 0:
                time.sleep(left)
            yield index > 0 and left < 0
