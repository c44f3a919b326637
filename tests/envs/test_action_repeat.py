"""Several environment steps in one: an action that is held, or a chunk of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import worldmodel as wm
from worldmodel.agents.behaviour import behaviour
from worldmodel.agents.environment import contract
from worldmodel.cli.main import main
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
    with pytest.raises(UserError, match="repeat of 2 or more with chunked=true, got None"):
        wm.make_env("two_room", chunked=True)


def test_a_chunk_of_another_shape_moves_nothing_and_each_part_is_clipped() -> None:
    env = ActionRepeat(TwoRoomEnv(), 2, chunked=True)
    env.reset(seed=3)
    before = env.unwrapped.scene()
    for wrong in (RIGHT, np.float32([1, 0, np.nan, 0])):
        with pytest.raises(ValueError, match="Expected 4 finite numbers, an action for each of 2"):
            env.step(wrong)
    np.testing.assert_array_equal(env.unwrapped.scene(), before)
    env.step(np.float32([9, 0, 0, 9]))
    np.testing.assert_array_equal(env.unwrapped.scene(), stepped(RIGHT, DOWN))


def test_smooth_noise_is_smooth_within_a_chunk() -> None:
    env = wm.make_env("two_room", repeat=5, chunked=True)
    env.reset(seed=0)
    acting = behaviour("smooth")(env, np.random.default_rng(0))
    moves = np.concatenate([next(acting)[0] for _ in range(200)]).reshape(-1, 2)
    assert np.corrcoef(moves[:-1, 0], moves[1:, 0])[0, 1] > 0.7


def test_an_environment_that_takes_chunks_itself_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = "wm.make_env('two_room', repeat=2, chunked=True)"
    (tmp_path / "chunky.py").write_text(f"import worldmodel as wm\ndef make(): return {made}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert contract(wm.make_env("chunky:make", repeat=2, chunked=True)).actions.width == 4
    assert contract(wm.make_env("chunky:make")).chunked
    with pytest.raises(UserError, match="takes chunks of 2 steps itself, got repeat=4"):
        wm.make_env("chunky:make", repeat=4)


@pytest.mark.slow
def test_a_world_of_chunks_is_collected_trained_and_planned_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, world = tmp_path / "data", tmp_path / "world"
    collect = f"collect env=two_room image_size=24 repeat=5 episodes=4 length=12 out={data}"
    assert not main([*collect.split(), "chunked=true", "workers=1"])
    assert main([*collect.split(), "workers=1"])
    assert "chunked" in capsys.readouterr().err
    encoder = tmp_path / "encoder"
    small = ["image_size=24", "patch_size=8", "width=50"]
    assert not main(
        ["pretrain", "+experiment=suite_encoder", f"data={data}", f"out={encoder}"]
        + [f"encoder.{word}" for word in small]
    )
    told = [f"data={data}", f"encoder_checkpoint={encoder}", f"cache={tmp_path}", "holdout=0.3"]
    steps = ["picture", "proprio", "state_model", "dynamics", "value", "prior", "reachability"]
    few = [f"predictor.training.{stage}.steps=1" for stage in (*steps, "uncertainty", "macros")]
    few += ["predictor.training.macros.rollout=1", "predictor.model.glimpse=0"]
    assert not main(["train", "+experiment=suite_world", f"out={world}", *told, *few])
    with pytest.raises(UserError, match="expected chunked of True"):
        wm.make_agent(str(world), wm.make_env("two_room", image_size=24, repeat=5))
    assert main(["train", f"out={tmp_path / 'no'}", *told, *few, "fps=2"])
    assert "Expected no fps=… with actions that are chunks" in capsys.readouterr().err
    plan = ["plan", "env=two_room", f"checkpoint={world}", f"out={tmp_path / 'plan'}", "episodes=1"]
    assert not main([*plan, "goal_source=ahead", "baselines=[prior,random]", "videos=0"])
    assert main([*plan, "task.active_dims=[0]", "goal_source=ahead"])
    assert "active_dims=null where actions are chunks" in capsys.readouterr().err
