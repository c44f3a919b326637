"""Settings for every test, a clock that no busy machine disturbs, and a world without training.

That world is a point that moves by its action, seen as one pixel. Tests that need an arm's bounds
get those of the built-in one.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from worldmodel import precision
from worldmodel.agents.planner import Bounds
from worldmodel.planners import CEM, CEMConfig, LatentDistance, Problem, TotalEnergy
from worldmodel.spec import POSE_ACTIONS, POSE_STATES, ActionSpec, CameraSpec, Spec, StateSpec

if importlib.util.find_spec("absl") is not None:
    # dm_control brings a log handler. When logging is configured anew it closes the stream that it
    # began with, unless that is the process' own: under capture that would be pytest's.
    from absl import logging as absl_logging

    absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__


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


_ARM_HIGH = (0.05, 0.05, 0.05, 0.25, 0.25, 0.25, 0.5)


@pytest.fixture(scope="session")
def arm_spec() -> Spec:
    """The built-in arm's, with images of 64 pixels."""
    low, rest = tuple(-end for end in _ARM_HIGH), (0.0,) * 7
    actions = ActionSpec(POSE_ACTIONS, low, _ARM_HIGH, rest, "pose_delta")
    states = StateSpec(POSE_STATES, "pose", hidden=())
    return Spec(actions, states, (CameraSpec("front", 64, 64),), 5.0, unit="m")


@pytest.fixture(scope="session")
def arm_bounds(arm_spec: Spec) -> Bounds:
    """The built-in arm's."""
    return Bounds.of(arm_spec.actions)


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
    monkeypatch.setattr("worldmodel.planners.clock.now", clock.now)
    monkeypatch.setattr("worldmodel.planners.clock.sleep", clock.sleep)
    monkeypatch.setattr("worldmodel.planners.clock.Condition", clock.condition)
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


@dataclass
class Imagined:
    latents: Tensor
    states: Tensor
    actions: Tensor | None = None
    start_latents: Tensor | None = None
    start_states: Tensor | None = None
    members: Tensor | None = None


class PointWorld:
    """Latent ``[B, T, 1, A]`` = state = position; an action of width A is a displacement."""

    def __init__(self, stride: int = 1) -> None:
        self.stride = stride
        self.encoded: list[tuple[int, ...]] = []
        self.candidates: list[Tensor] = []

    def encode(self, frames: Tensor) -> Tensor:
        self.encoded.append(tuple(frames.shape))
        return frames[:, :, 0, :1].float() / 255

    def project(self, latents: Tensor, reference: Tensor) -> Tensor:
        return latents

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        self.candidates.append(actions.clone())
        path = latents[:, None, -1:, 0] + actions.cumsum(2)
        path = path[:, :, self.stride - 1 :: self.stride]
        return Imagined(path[..., None, :], path, actions, latents[:, -1], states[:, -1])


def bounds(width: int = 3, limit: float = 0.05) -> tuple[Tensor, Tensor]:
    return torch.full((width,), -limit), torch.full((width,), limit)


def problem(
    goal: Tensor, world: PointWorld | None = None, proposal: object = None, **distance: str
) -> Problem:
    """Go from the origin to ``goal`` ``[B, A]``."""
    start = torch.zeros(len(goal), 1, goal.shape[-1])
    energy = TotalEnergy(LatentDistance(goal[:, None], distance.get("metric", "l2")))
    return Problem(world or PointWorld(), start[:, :, None], start, energy, proposal)


def solve(problem: Problem, config: CEMConfig, seed: int = 0, **options: object) -> object:
    width = problem.latents.shape[-1]
    cem = CEM(config, *bounds(width))
    state = cem.init(len(problem.latents))
    return cem.plan(problem, state, generator=torch.Generator().manual_seed(seed), **options)[0]


@pytest.fixture
def point() -> SimpleNamespace:
    return SimpleNamespace(
        World=PointWorld, Imagined=Imagined, bounds=bounds, problem=problem, solve=solve
    )


@pytest.fixture
def black_box() -> Callable[[Callable[[Tensor], Tensor]], Problem]:
    """A problem whose energy is any function of the end point ``[B, S, A]``."""

    def build(function: Callable[[Tensor], Tensor], width: int = 2, batch: int = 1) -> Problem:
        base = problem(torch.zeros(batch, width))

        def goal(trajectory: Imagined) -> Tensor:
            return function(trajectory.latents[:, :, -1, 0])

        return Problem(base.world, base.latents, base.states, TotalEnergy(goal))

    return build
