"""A benchmark's rules count single steps of the simulation, whatever an action stands for."""

from __future__ import annotations

import numpy as np
import pytest

from worldmodel.envs.action_repeat import ActionRepeat
from worldmodel.envs.judged import Judged
from worldmodel.envs.suite_env import Verdict
from worldmodel.envs.two_room import TwoRoomEnv

REST, RIGHT = np.zeros(2, np.float32), np.array([1, 0], np.float32)


class Held(TwoRoomEnv):
    """The strict goal has to be held for three steps."""

    strict_steps = 3


def at(env: TwoRoomEnv, x: float, goal: float = 60.0) -> None:
    env.reset(seed=0)
    env.restore(np.array([goal, 150.0]))
    env.set_goal()
    env.restore(np.array([x, 150.0]))


def judged(mode: str, x: float) -> Judged:
    env = Held()
    at(env, x)
    return Judged(env, mode)


def test_moderate_success_is_one_moment_and_is_not_lost_again() -> None:
    env = judged("moderate", 40.0)
    assert not env.solved()
    told = [env.step(RIGHT)[4]["success"] for _ in range(10)]  # 16 px from the goal after one step
    assert told == [True] * 10


def test_strict_success_takes_steps_in_a_row() -> None:
    env = judged("strict", 50.0)
    passing = [env.step(RIGHT)[4]["success"] for _ in range(6)]  # within 8 px for 3 steps
    assert passing == [False, False, True, True, True, True]
    env = judged("strict", 80.0)
    for _ in range(8):  # two steps within, two without
        for action in (-RIGHT, -RIGHT, RIGHT, RIGHT):
            assert not env.step(action)[4]["success"]
        at(env.unwrapped, 75.0)  # type: ignore[arg-type]


def test_every_step_of_a_held_action_is_judged() -> None:
    env = ActionRepeat(judged("moderate", 40.0), 20)
    assert env.step(RIGHT)[4]["success"]  # it passed the goal and went on
    assert env.unwrapped.scene()[0] > 80  # type: ignore[attr-defined]


def test_a_new_episode_is_judged_anew() -> None:
    env = judged("moderate", 60.0)
    assert env.step(REST)[4]["success"]
    env.reset(seed=1)
    assert not env.step(REST)[4]["success"]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected a mode of .*moderate.*strict.*, got 'lenient'"):
        Judged(TwoRoomEnv(), "lenient")


def test_verdicts_are_the_suites_own() -> None:
    env = judged("strict", 60.0)
    assert env.unwrapped.verdict() == Verdict(0.0, True, True)  # type: ignore[attr-defined]
