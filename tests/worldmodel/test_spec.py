"""Where two specs meet, what both of them state has to agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from worldmodel.errors import UserError
from worldmodel.spec import Spec, SpecChanges, read_spec, require_alike


def changed(spec: Spec, **actions: Any) -> Spec:
    return replace(spec, actions=replace(spec.actions, **actions))


def compared(trained: Spec, offered: Spec, **how: Any) -> None:
    require_alike(trained, offered, of="w", against="the environment", **how)


def test_bounds_that_both_state_have_to_agree(arm_spec: Spec) -> None:
    narrow = changed(arm_spec, high=(0.04, *arm_spec.actions.high[1:]))
    with pytest.raises(UserError, match=r"expected actions\.high of dx of 0\.05, .*, got 0\.04 of"):
        compared(arm_spec, narrow)
    compared(arm_spec, narrow, bounds=False)
    compared(arm_spec, changed(arm_spec, high=tuple(x + 1e-7 for x in arm_spec.actions.high)))


def test_bounds_that_were_only_recorded_are_not_compared(arm_spec: Spec) -> None:
    seen = changed(arm_spec, high=(0.04, *arm_spec.actions.high[1:]), recorded=True)
    compared(seen, arm_spec)
    compared(arm_spec, seen)
    assert "as recorded" in str(seen)
    assert "as recorded" not in str(arm_spec)
    with pytest.raises(UserError, match=r"expected repeat of 1, .*, got 2 of"):
        compared(seen, replace(arm_spec, repeat=2))


def test_a_rate_that_nobody_states_is_not_compared(arm_spec: Spec) -> None:
    compared(arm_spec, replace(arm_spec, rate=None))
    with pytest.raises(UserError, match=r"expected rate of 5\.0, .*, got 10\.0 of"):
        compared(arm_spec, replace(arm_spec, rate=10.0))


def test_a_kind_that_nobody_states_is_not_compared_but_by_a_world_of_poses(arm_spec: Spec) -> None:
    nothing = changed(arm_spec, kind="generic")
    moved = changed(arm_spec, kind="velocity")
    compared(nothing, replace(moved, actions=replace(moved.actions, rest=arm_spec.actions.high)))
    compared(moved, nothing)
    with pytest.raises(UserError, match=r"expected actions\.kind of velocity, .*, got torque of"):
        compared(moved, changed(arm_spec, kind="torque"))
    with pytest.raises(
        UserError, match=r"expected actions\.kind of pose_delta, .*, got generic of"
    ):
        compared(arm_spec, nothing)
    unknown = replace(arm_spec, states=replace(arm_spec.states, kind="generic"))
    with pytest.raises(UserError, match=r"expected states\.kind of pose, .*, got generic of"):
        compared(arm_spec, unknown)
    compared(unknown, arm_spec)


def test_a_world_says_what_its_environment_does_not(arm_spec: Spec) -> None:
    trained = changed(arm_spec, kind="absolute", rest=arm_spec.actions.high)
    silent = changed(arm_spec, kind="generic")
    assert silent.completed(trained) == trained
    assert trained.completed(silent) == trained
    assert arm_spec.completed(trained) == arm_spec


def test_a_spec_comes_back_as_it_was_stored(arm_spec: Spec) -> None:
    stored = changed(arm_spec, recorded=True).stored()
    assert read_spec(stored, "here") == changed(arm_spec, recorded=True)
    del stored["actions"]["recorded"]  # older ones say nothing of it
    assert read_spec(stored, "here") == arm_spec


def test_what_a_user_states_outweighs_and_has_to_fit(arm_spec: Spec) -> None:
    told = arm_spec.changed(SpecChanges(rate=2.0, hidden=("x",), action_kind="generic"))
    assert (told.rate, told.states.hidden, told.actions.kind) == (2.0, ("x",), "generic")
    with pytest.raises(UserError, match=r"Expected hidden among the states x, y, .*got 'speed'"):
        arm_spec.changed(SpecChanges(hidden=("speed",)))


def test_a_user_names_each_number_once_and_what_is_said_of_it_stays(arm_spec: Spec) -> None:
    joints = tuple(f"joint_{number}" for number in range(7))
    told = arm_spec.changed(SpecChanges(action_names=joints, state_names=joints))
    assert told.actions.names == told.states.names == joints
    turning = replace(arm_spec, states=replace(arm_spec.states, kind="generic", periodic=("yaw",)))
    assert turning.changed(SpecChanges(state_names=joints)).states.periodic == ("joint_5",)
    hidden = SpecChanges(state_names=joints, hidden=("joint_6",))
    assert arm_spec.changed(hidden).states.hidden == ("joint_6",)
    with pytest.raises(UserError, match=r"Expected 7 different action_names, .*got 2: a, b; name"):
        arm_spec.changed(SpecChanges(action_names=("a", "b")))
    with pytest.raises(UserError, match=r"Expected 7 different state_names, .*got 7: a, a"):
        arm_spec.changed(SpecChanges(state_names=("a",) * 7))


def test_only_a_spec_of_chunks_says_so(arm_spec: Spec) -> None:
    chunked = replace(arm_spec, chunked=True)
    assert "chunked" not in arm_spec.stored()
    assert [read_spec(spec.stored(), "here") for spec in (arm_spec, chunked)] == [arm_spec, chunked]
    with pytest.raises(UserError, match="expected chunked of True"):
        compared(chunked, arm_spec)


@pytest.mark.parametrize("damaged", [5, "abc", [1]])
def test_what_is_no_spec_is_told(damaged: Any) -> None:
    with pytest.raises(UserError):
        read_spec(damaged, "here")
