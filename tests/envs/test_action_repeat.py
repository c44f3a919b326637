"""Several environment steps in one: an action that is held, or a chunk of them."""

from __future__ import annotations

import numpy as np
import pytest

import worldmodel as wm
from worldmodel.agents.behaviour import behaviour
from worldmodel.agents.environment import contract
from worldmodel.envs.action_repeat import ActionRepeat
from worldmodel.envs.two_room import TwoRoomEnv
from worldmodel.errors import UserError

RIGHT, DOWN = np.float32([1, 0]), np.float32([0, 1])


def stepped(*actions: np.ndarray) -> np.ndarray:
    env = TwoRoomEnv()
    env.reset(seed=3)
    for action in actions:
        env.step(action)
    return env.scene()


def test_a_chunk_does_one_action_after_the_other() -> None:
    env = ActionRepeat(TwoRoomEnv(), 3, chunked=True)
    env.reset(seed=3)
    env.step(np.concatenate([RIGHT, DOWN, DOWN]))
    np.testing.assert_array_equal(env.unwrapped.scene(), stepped(RIGHT, DOWN, DOWN))


def test_an_action_is_held() -> None:
    env = ActionRepeat(TwoRoomEnv(), 3)
    env.reset(seed=3)
    env.step(RIGHT)
    np.testing.assert_array_equal(env.unwrapped.scene(), stepped(RIGHT, RIGHT, RIGHT))


def test_a_chunk_says_what_its_numbers_mean() -> None:
    held, chunked = (
        contract(wm.make_env("two_room", repeat=3, chunked=chunked)) for chunked in (False, True)
    )
    assert chunked.actions.names == ("dx_0", "dy_0", "dx_1", "dy_1", "dx_2", "dy_2")
    assert chunked.actions.low == 3 * held.actions.low
    assert chunked.actions.rest == 3 * held.actions.rest
    assert (chunked.repeat, chunked.rate) == (held.repeat, held.rate)
    assert "each a chunk of 3 environment steps" in str(chunked)
    assert "each held for 3 environment steps" in str(held)
    arm = contract(wm.make_env("push", repeat=2, chunked=True))
    assert arm.actions.width == 14
    assert not arm.composed  # two changes of a pose are not one


def test_a_script_is_recorded_as_what_it_did() -> None:
    env = wm.make_env("two_room", repeat=4, chunked=True)
    env.reset(seed=0)
    chunk, seen, _ = next(behaviour("scripted")(env, np.random.default_rng(0)))
    again = wm.make_env("two_room", repeat=4, chunked=True)
    again.reset(seed=0)
    np.testing.assert_array_equal(again.step(chunk)[0]["image"], seen["image"])


def test_a_chunk_needs_several_steps() -> None:
    with pytest.raises(UserError, match="Expected repeat above 1 with chunked=true, got None"):
        wm.make_env("two_room", chunked=True)
