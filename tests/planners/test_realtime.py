"""What an arm does whose planner thinks in another thread, whatever that thread is up to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import worldmodel.planners.clock
from worldmodel.planners import (
    CEM,
    Agent,
    CEMConfig,
    LatentDistance,
    Objective,
    RateTimer,
    RealTimeAgent,
    TotalEnergy,
)

# No thread is in a hurry: a plan is ready, or not, because a test says so.
pytestmark = pytest.mark.usefixtures("clock")

HIGH = torch.tensor([0.05, 0.05])


class Thinker:
    """An agent whose plans are written down beforehand, and that thinks until it is let go."""

    def __init__(self, *plans: Any) -> None:
        self.plans = list(plans)
        self.looks: list[float] = []
        self.looked: list[float | None] = []
        self.asked: list[tuple[int, Tensor | None]] = []
        self.limited: list[bool] = []
        self.records: list[Any] = []
        self.searched = 1
        self._changed, self._may_go_on = worldmodel.planners.clock.Condition(), True

    def hold(self) -> None:
        """Think until `go_on`."""
        self._may_go_on = False

    def go_on(self) -> None:
        with self._changed:
            self._may_go_on = True
            self._changed.notify_all()

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        self.goal, self.seed = goal_frames, seed

    def look(self, frames: Tensor, states: Tensor, at: float | None = None) -> None:
        self.looks.append(float(states[0, 0]))
        self.looked.append(at)

    def plan(self, step: int, committed: Tensor | None = None, *, limited: bool = True) -> Any:
        self.asked.append((step, committed))
        self.limited.append(limited)
        with self._changed:
            assert self._changed.wait_for(lambda: self._may_go_on, timeout=60)
        plan = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
        if isinstance(plan, Exception):
            raise plan
        actions = torch.tensor([[step] for step in plan])[None].expand(1, -1, 2).clone()
        if committed is not None:
            actions[:, : committed.shape[1]] = committed
        return SimpleNamespace(actions=actions, trace=torch.zeros(1, self.searched))


@pytest.fixture
def started() -> Iterator[Callable[..., tuple[RealTimeAgent, Thinker]]]:
    agents: list[tuple[RealTimeAgent, Thinker]] = []

    def build(*plans: Any, **options: Any) -> tuple[RealTimeAgent, Thinker]:
        thinker = Thinker(*plans)
        agents.append((RealTimeAgent(thinker, -HIGH, HIGH, **options), thinker))  # type: ignore[arg-type]
        agents[-1][0].reset(torch.zeros(1, 1, 1, 3))
        agents[-1][0].prepare(torch.zeros(1, 1, 1, 3), torch.zeros(1, 7))
        return agents[-1]

    yield build
    for agent, thinker in agents:
        thinker.go_on()
        agent.close()


def act(agent: RealTimeAgent, at: float = 0.0) -> float:
    action = agent.act(torch.zeros(1, 1, 1, 3), torch.full((1, 7), at))
    assert (action.abs() <= HIGH).all()
    return round(float(action[0, 0]), 4)


def test_the_first_action_waits_for_the_first_plan(started) -> None:
    agent, thinker = started([0.01, 0.02, 0.03])
    assert act(agent) == 0.01
    assert thinker.asked == [(0, None)]
    assert thinker.limited == [False]  # nobody is kept waiting


def test_a_plan_begins_with_what_is_done_while_it_is_made(clock, started) -> None:
    agent, thinker = started([0.01, 0.02, 0.03], [0.04, 0.04, 0.04])
    act(agent)
    assert act(agent) == 0.02  # of the first plan: the second is asked for now
    clock.settle()
    step, committed = thinker.asked[1]
    assert step == 1
    assert thinker.limited[1]
    torch.testing.assert_close(committed, torch.full((1, 1, 2), 0.02))
    assert act(agent) == 0.04  # the second step of the second plan
    assert agent.slots.missed == 0


def test_a_planner_that_is_late_is_followed_on_its_last_path_and_then_the_arm_holds(
    started,
) -> None:
    agent, thinker = started([0.01, 0.02, 0.03])
    act(agent)
    thinker.hold()
    assert [act(agent) for _ in range(4)] == [0.02, 0.03, 0.0, 0.0]
    assert (agent.slots.total, agent.slots.missed, agent.slots.held) == (5, 3, 2)


def test_a_late_plan_is_taken_up_where_it_wants_to_be_by_now(clock, started) -> None:
    agent, thinker = started([0.01] * 8, [0.0, 0.03, 0.03, 0.03], every=3)
    for _ in range(3):
        act(agent)
    thinker.hold()
    assert act(agent) == 0.01  # asks for the second plan, which will begin with this
    clock.settle()
    assert act(agent) == 0.01  # but is not there yet
    thinker.go_on()
    clock.settle()
    # It wants to be 0.07 from its look by the end of this slot, of which 0.02 are done.
    assert act(agent) == 0.05
    assert agent.slots.missed == 1


def test_actions_that_do_not_add_up_are_those_of_their_slot_and_then_the_robot_rests(
    clock, started
) -> None:
    rest = torch.tensor([0.02, 0.02])
    agent, thinker = started([0.01] * 8, [0.0, 0.03, 0.04, 0.05], rest=rest, adding=False, every=3)
    for _ in range(3):
        act(agent)
    thinker.hold()
    assert act(agent) == 0.01
    clock.settle()
    assert [act(agent) for _ in range(2)] == [0.01, 0.01]
    thinker.go_on()
    clock.settle()
    thinker.hold()
    assert [act(agent) for _ in range(3)] == [0.05, 0.02, 0.02]


def test_the_newest_look_is_planned_from(clock, started) -> None:
    agent, thinker = started([0.01] * 9, [0.02] * 9)
    act(agent, at=0.0)
    clock.settle()
    thinker.hold()
    act(agent, at=1.0)
    clock.settle()
    for at in (2.0, 3.0, 4.0):
        act(agent, at)
    thinker.go_on()
    clock.settle()
    assert thinker.looks == [0.0, 1.0, 4.0]
    assert [step for step, _ in thinker.asked] == [0, 1, 4]


def test_looks_in_a_row_are_kept_for_worlds_that_see_several(clock, started) -> None:
    agent, thinker = started([0.01] * 9, context=2)
    act(agent, at=0.0)
    clock.settle()
    thinker.hold()
    act(agent, at=1.0)
    clock.settle()
    for at in (2.0, 3.0, 4.0):
        act(agent, at)
    thinker.go_on()
    clock.settle()
    assert thinker.looks[-2:] == [3.0, 4.0]


def test_plans_can_be_made_every_few_slots_only(clock, started) -> None:
    agent, thinker = started([0.01] * 9, every=3)
    for _ in range(8):
        act(agent)
        clock.settle()
    assert [step for step, _ in thinker.asked] == [0, 3, 6]
    assert agent.slots.missed == 0


def test_what_stops_the_planner_is_raised_where_actions_are_asked_for(clock, started) -> None:
    agent, _ = started([0.01] * 9, FloatingPointError("no candidate"))
    act(agent)
    act(agent)
    clock.settle()
    with pytest.raises(FloatingPointError, match="no candidate"):
        act(agent)


def test_a_reset_waits_for_the_plan_at_hand_and_forgets_it(clock, started) -> None:
    agent, thinker = started([0.01] * 9, [0.02] * 9, [0.03] * 9)
    act(agent)
    act(agent)
    clock.settle()
    agent.reset(torch.ones(1, 1, 1, 3), seed=4)
    assert (thinker.seed, agent.slots.total) == (4, 0)
    agent.prepare(torch.zeros(1, 1, 1, 3), torch.zeros(1, 7))
    assert act(agent) == 0.03
    assert thinker.asked[-1] == (0, None)


def test_after_an_error_it_can_be_reset_and_after_closing_it_says_so(clock, started) -> None:
    agent, _ = started([0.01] * 9, FloatingPointError("no candidate"), [0.02] * 9)
    act(agent)
    act(agent)
    clock.settle()
    agent.reset(torch.zeros(1, 1, 1, 3))
    agent.prepare(torch.zeros(1, 1, 1, 3), torch.zeros(1, 7))
    assert act(agent) == 0.02
    agent.close()
    with pytest.raises(RuntimeError, match="is closed"):
        act(agent)


def test_a_plan_that_was_not_searched_for_does_not_replace_one_that_was(clock, started) -> None:
    agent, thinker = started([0.01] * 9, [0.0] * 9)
    thinker.searched = 0
    assert act(agent) == 0.01
    for _ in range(3):
        assert act(agent) == 0.01
        clock.settle()
    assert (agent.slots.missed, agent.slots.held) == (2, 0)


@pytest.mark.parametrize(("every", "lasts"), [(1, 3), (2, 5)])
def test_unless_that_one_ends_before_the_next_is_due(
    clock, started, every: int, lasts: int
) -> None:
    for steps in (
        lasts,
        lasts - 1,
    ):  # the second is asked for at 1 or 2, the third is due at 3 or 5
        agent, thinker = started([0.01] * steps, [0.02] * 9, [0.03] * 9, every=every)
        thinker.searched = 0
        followed = []
        for _ in range(lasts):
            followed.append(act(agent))
            clock.settle()
        assert (0.02 in followed) == (steps < lasts)
        assert agent.slots.held == 0


def test_without_a_first_plan_the_arm_holds_rather_than_wait() -> None:
    thinker = Thinker([0.01] * 9)
    thinker.hold()
    with RealTimeAgent(thinker, -HIGH, HIGH) as agent:  # type: ignore[arg-type]
        agent.reset(torch.zeros(1, 1, 1, 3))
        assert [act(agent), act(agent)] == [0.0, 0.0]
        assert (agent.slots.missed, agent.slots.held) == (2, 2)
        thinker.go_on()


def test_without_time_to_search_the_newest_guess_is_followed(clock) -> None:
    thinker = Thinker([0.01] * 9, [0.02] * 9)
    thinker.searched = 0
    with RealTimeAgent(thinker, -HIGH, HIGH) as agent:  # type: ignore[arg-type]
        agent.reset(torch.zeros(1, 1, 1, 3))
        agent.prepare(torch.zeros(1, 1, 1, 3), torch.zeros(1, 7))
        assert [act(agent), act(agent)] == [0.01, 0.01]
        clock.settle()
        assert act(agent) == 0.02
        assert (agent.slots.missed, agent.slots.held) == (3, 0)


def test_plans_too_short_to_act_on_until_the_next_are_refused() -> None:
    with RealTimeAgent(Thinker([0.01] * 2), -HIGH, HIGH, every=2) as agent:  # type: ignore[arg-type]
        agent.reset(torch.zeros(1, 1, 1, 3))
        with pytest.raises(ValueError, match=r"plans of at least 3 steps, .* got 2; raise"):
            agent.prepare(torch.zeros(1, 1, 1, 3), torch.zeros(1, 7))


def test_the_time_to_plan_begins_with_the_slot_and_not_with_the_thought(clock, started) -> None:
    agent, thinker = started([0.01] * 9)
    act(agent)
    clock.time = 101.0
    thinker.hold()
    act(agent)
    clock.settle()
    clock.time = 102.0
    act(agent)  # is planned from once the plan at hand is made
    clock.time = 105.0
    thinker.go_on()
    clock.settle()
    assert thinker.looked == [100.0, 101.0, 102.0]


def test_it_reaches_what_an_agent_reaches(clock, point) -> None:
    class CameraWorld(point.World):
        def encode(self, frames: Tensor) -> Tensor:
            return frames[:, :, 0].float() / 255 - 0.5

    def image(positions: Tensor) -> Tensor:
        return ((positions + 0.5) * 255).round().to(torch.uint8)[:, None, None]

    low, high = point.bounds()
    config = CEMConfig(samples=48, horizon=4, elites=6, receding_horizon=1, correlation=0.0)
    goals = torch.tensor([[0.2, -0.1, 0.1], [-0.15, 0.2, 0.0]])

    def objective(latents: Tensor) -> Objective:
        return Objective(TotalEnergy(LatentDistance(latents, "l2")))

    inner = Agent(CameraWorld(), CEM(config, low, high), objective)
    with RealTimeAgent(inner, low, high) as driver:
        driver.reset(image(goals))
        positions = torch.zeros(2, 3)
        driver.prepare(image(positions), positions)
        for _ in range(14):
            positions = positions + driver.act(image(positions), positions)
            clock.settle()
    torch.testing.assert_close(positions, goals, atol=0.02, rtol=0)
    assert driver.slots.missed == driver.slots.held == 0


def test_a_pulse_waits_and_goes_on_from_where_it_was_held_up(clock, monkeypatch) -> None:
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        clock.sleep(seconds)

    monkeypatch.setattr("worldmodel.planners.clock.sleep", sleep)
    committed = clock.time
    late, at = [], []
    for tick, behind in enumerate(RateTimer(10).ticks(5)):
        late.append(behind)
        at.append(round(clock.time - committed, 6))
        clock.time += 0.25 if tick == 1 else 0.02
    assert late == [False, False, True, False, False]
    assert at == [0.0, 0.1, 0.35, 0.45, 0.55]
    assert slept == [0.08, 0.08, 0.08]


def test_a_tick_that_the_system_oversleeps_is_late(clock, monkeypatch) -> None:
    over = iter([0.001, 0.02, 0.001])
    monkeypatch.setattr("worldmodel.planners.clock.sleep", lambda s: clock.sleep(s + next(over)))
    assert list(RateTimer(10).ticks(4)) == [False, False, True, False]


def test_a_pulse_needs_a_rate() -> None:
    with pytest.raises(ValueError, match="above 0 Hz, got 0"):
        RateTimer(0)


def test_an_arm_that_cannot_hold_still_is_refused() -> None:
    with pytest.raises(ValueError, match="bounds around rest"):
        RealTimeAgent(Thinker([]), HIGH / 2, HIGH)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finite bounds"):
        RealTimeAgent(Thinker([]), HIGH, -HIGH)  # type: ignore[arg-type]
