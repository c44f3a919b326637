"""Acting while planning: one thread thinks, the other acts at its own rate and never waits.

Time is cut into slots of one control step. At the beginning of a slot its action is read off the
newest plan there is. Every few slots the observation is put before the planning thread, together
with that action: the plan begins with what is done while it is made, as in real-time action
chunking (arXiv:2506.07339), and so fits what comes before it. Should it take longer than a slot,
it is followed as a path where actions add up: an action is the rest of the way to where the plan
wants to be by then, as far as the bounds allow. Other actions are those of the plan at their slot.
Where no plan says anything of a slot, the robot rests.

Shapes: B episodes, H control steps, A action, P state.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Thread
from typing import Any, NamedTuple

import torch
from torch import Tensor

from worldmodel.planners import clock
from worldmodel.planners.agent import Agent, PlanRecord
from worldmodel.planners.box import ActionBox

__all__ = ["DeadlineStatistics", "RateTimer", "RealTimeAgent"]


@dataclass
class DeadlineStatistics:
    """How the slots of an episode went.

    Attributes:
        total: DeadlineStatistics in which an action was asked for.
        missed: Of these, those whose plan was not ready in time, or had no time to search, so that
            an older one had to do.
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
    at: float


class _Path(NamedTuple):
    """What a plan that was looked at in a slot wants: actions ``[B, H, A]``, and where they lead.

    The latter are displacements ``[B, H + 1, A]`` from 0, of use where actions add up.
    """

    slot: int
    actions: Tensor
    displacements: Tensor
    searched: bool

    @property
    def end(self) -> int:
        """The first slot of which it says nothing."""
        return self.slot + self.displacements.shape[1] - 1


class RealTimeAgent:
    """Drives B episodes towards goal images at a fixed rate, planning in a thread of its own.

    Like an `Agent`, but for the time that passes: `act` is to be called once per slot, and answers
    at once. Before the first slot, `prepare` waits for a first plan, since a robot at rest misses
    nothing. To be closed, or used as a context manager.

    Args:
        agent: Looks and plans, in the other thread; its budget should be that of a slot.
        low: Lower action bounds ``[A]``, physical units; rest is within them.
        high: Upper action bounds ``[A]``.
        rest: What does nothing, ``[A]``; None for zero.
        adding: Whether actions are changes that add up, rather than targets, speeds or forces.
        every: DeadlineStatistics from the beginning of one plan to that of the next.
        context: Looks that `agent` needs in a row.

    Raises:
        ValueError: ``every`` or ``context`` is below 1, or rest is out of the bounds.
    """

    def __init__(
        self,
        agent: Agent[Any],
        low: Tensor,
        high: Tensor,
        rest: Tensor | None = None,
        *,
        adding: bool = True,
        every: int = 1,
        context: int = 1,
    ) -> None:
        if every < 1 or context < 1:
            raise ValueError(f"Expected every and context of at least 1, got {every} and {context}")
        self._agent, self._every, self._adding = agent, every, adding
        ActionBox(low, high, (), rest)  # that all of them may rest
        self._rest = torch.zeros_like(low).cpu() if rest is None else rest.cpu()
        self._low, self._high = low.cpu(), high.cpu()
        self._changed = clock.Condition()
        self._looks: deque[_Look] = deque(maxlen=context)
        self._path: _Path | None = None
        self._done: list[Tensor] = []
        self._wanted = False
        self._busy = self._closed = False
        self._error: Exception | None = None
        self.slots = DeadlineStatistics()
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
        """Take up new goals; see `Agent.reset`."""
        with self._changed:
            self._wanted = False
            self._changed.wait_for(lambda: not self._busy)
            self._error = None
            self._check_open()
            self._looks.clear()
            self._path, self._done, self.slots = None, [], DeadlineStatistics()
            self._agent.reset(goal_frames, seed=seed)

    def prepare(self, frames: Tensor, states: Tensor) -> None:
        """Wait for a plan from what is seen before the first slot, however long it takes.

        Args:
            frames: As those of `act`.
            states: Likewise.

        Raises:
            Exception: Whatever stopped the planning.
        """
        with self._changed:
            self._see(frames, states)
            self._ask()
            self._changed.wait_for(lambda: self._path is not None or self._error or self._closed)
            self._check_open()

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """The action of the slot that begins, ``float32 [B, A]`` within the bounds, on the CPU.

        Args:
            frames: What the camera shows, ``uint8 [B, h, w, 3]``; not to be written to afterwards.
            states: Proprioception ``[B, P]``, physical units.

        Raises:
            Exception: Whatever has stopped the planning since the last reset.
        """
        with self._changed:
            self._see(frames, states)
            slot = self.slots.total
            self._done.append(self._action(slot))
            if slot % self._every == 0 and (slot > 0 or self._path is None):
                self._ask()
            self.slots.total += 1
            return self._done[-1]

    def close(self) -> None:
        """End the planning thread, after the plan it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _see(self, frames: Tensor, states: Tensor) -> None:
        self._check_open()
        self._looks.append(_Look(self.slots.total, frames, states, clock.now()))

    def _ask(self) -> None:
        self._wanted = True
        self._changed.notify_all()

    def _action(self, slot: int) -> Tensor:
        """What the newest plan wants in a slot."""
        path = self._path
        still = self._rest.expand(len(self._looks[-1].states), -1)
        due = max(slot - 1, 0) // self._every * self._every
        self.slots.missed += path is None or path.slot < due or not path.searched
        if path is None or slot >= path.end:
            self.slots.held += 1
            return still
        if not self._adding:
            return path.actions[:, slot - path.slot].clamp(self._low, self._high)
        since = sum(self._done[path.slot :], torch.zeros_like(still))
        return (path.displacements[:, slot + 1 - path.slot] - since).clamp(self._low, self._high)

    def _think(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closed)
                if self._closed:
                    return
                self._wanted, self._busy = False, True
            try:
                self._plan()
            except Exception as error:  # act() raises it in the thread that asked
                self._error = error
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _plan(self) -> None:
        """Plan from the newest look, and put the path where the other thread finds it."""
        with self._changed:
            looks = list(self._looks)
            self._looks.clear()
            self._wanted = False  # by now maybe again, for the look that is taken here
            slot = looks[-1].slot
            committed = torch.stack(self._done[slot:], 1) if self._done[slot:] else None
        for look in looks:
            self._agent.look(look.frames, look.states, at=look.at)
        plan = self._agent.plan(slot, committed, limited=committed is not None)
        if plan.actions.shape[1] <= self._every:
            raise ValueError(
                f"Expected plans of at least {self._every + 1} steps, to act on for {self._every} "
                f"slots after the one they are made in, got {plan.actions.shape[1]}; raise the "
                "horizon"
            )
        searched, older = plan.trace.shape[1] > 0, self._path
        if not searched and older is not None and older.searched:
            next_due = max(slot, self.slots.total - 1) + self._every + 1
            if older.end >= next_due:
                return  # the older one knew more, and lasts
        actions = plan.actions.float().cpu()
        start = torch.zeros_like(actions[:, :1])
        self._path = _Path(slot, actions, torch.cat([start, actions], 1).cumsum(1), searched)

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise RuntimeError("The agent is closed; make another one")


class RateTimer:
    """A clock that ticks at a fixed rate, and goes on from where it is when it was held up.

    So no two ticks are due nearer to each other than a period, whatever one of them led to.

    Args:
        hz: Ticks per second.
    """

    def __init__(self, hz: float) -> None:
        if not 0 < hz < math.inf:
            raise ValueError(f"Expected a finite rate above 0 Hz, got {hz}")
        self.period = 1 / hz

    def ticks(self, count: int) -> Iterator[bool]:
        """Wait for each of some ticks; whether it came late. The first comes at once.

        It did where more than a tenth of a period had passed, be it that the caller was not back
        in time or that the system woke it late.
        """
        due = clock.now()
        for index in range(count):
            now = clock.now()
            if now < due:
                clock.sleep(due - now)
            yield index > 0 and clock.now() > due + self.period / 10
            due = max(due, now) + self.period
