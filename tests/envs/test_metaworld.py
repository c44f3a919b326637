"""Its scripts make the goals; run by `make metaworld`, which installs the package."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("metaworld")

from worldmodel.envs.metaworld import MetaWorldEnv

TASKS = ("reach-v3", "push-v3", "pick-place-v3", "drawer-open-v3", "button-press-v3")


@pytest.mark.parametrize("task", TASKS)
def test_the_suites_script_reaches_the_goal(task: str) -> None:
    env = MetaWorldEnv(task)
    for seed in range(3):
        env.reset(seed=seed)
        reached = [env.advance(a) or env.verdict() for a in itertools.islice(env.expert(), 200)]
        assert any(verdict.strict for verdict in reached)
    env.close()


def test_success_is_half_the_way_where_that_is_short() -> None:
    env = MetaWorldEnv("button-press-v3")
    env.reset(seed=0)
    assert env.verdict().distance < 0.1
    assert not env.verdict().success
    env.close()


def test_an_episode_may_last_as_long_as_it_likes() -> None:
    env = MetaWorldEnv("reach-v3")
    env.reset(seed=0)
    for _ in range(520):
        env.advance(np.zeros(4))
    assert np.isfinite(env.proprioception()).all()
    env.close()


def test_an_unknown_task_is_answered_with_some_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"among .*reach-v3.*got metaworld:sing-v3"):
        MetaWorldEnv("sing-v3")
