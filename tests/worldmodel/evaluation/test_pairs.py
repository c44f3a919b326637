"""Pairs of the public benchmarks: unsolved, of one episode, the same for every policy."""

from __future__ import annotations

import numpy as np
import pytest

from worldmodel.envs import make_from_suite
from worldmodel.envs.action_repeat import ActionRepeat
from worldmodel.envs.judged import MODES, Judged
from worldmodel.envs.two_room_scripts import MIDDLE
from worldmodel.errors import UserError
from worldmodel.evaluation.episodes import SEED_OFFSET
from worldmodel.evaluation.pairs import AHEAD, draw_pair, pair_seeds

TASKS = ["two_room", "reacher", "push_t", "ogbench:cube-single"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", TASKS)
def test_a_pair_is_not_solved_at_its_start_by_the_modes_own_rule(name: str, mode: str) -> None:
    env = Judged(make_from_suite(name, 32), mode)
    for seed in range(3):
        observation, _ = draw_pair(env, seed)
        assert not env.solved()
        assert observation["goal"].shape == observation["image"].shape
    env.close()


def test_a_pair_is_the_same_however_long_actions_are_held() -> None:
    plain = Judged(make_from_suite("push_t", 32), "strict")
    held = ActionRepeat(Judged(make_from_suite("push_t", 32), "strict"), 5)
    for seed in (0, 1):
        one, other = draw_pair(plain, seed)[0], draw_pair(held, seed)[0]
        for key in ("image", "goal", "state"):
            np.testing.assert_array_equal(one[key], other[key])


def test_the_script_leads_from_start_to_goal() -> None:
    env = Judged(make_from_suite("two_room", 32), "moderate")
    draw_pair(env, 3)
    suite = env.unwrapped
    walked = np.linalg.norm(suite.goal - suite.scene())  # type: ignore[attr-defined]
    assert 16 < walked <= 5 * AHEAD * 2**0.5


def test_two_rooms_pairs_lie_in_opposite_rooms() -> None:
    env = Judged(make_from_suite("two_room", 32), "moderate")
    for seed in range(10):
        draw_pair(env, seed)
        suite = env.unwrapped
        assert (suite.goal[0] < MIDDLE) != (suite.scene()[0] < MIDDLE)  # type: ignore[attr-defined]


def test_seeds_share_no_pair_with_each_other_or_with_collected_episodes() -> None:
    seeds = [*pair_seeds(0, 100), *pair_seeds(1, 100), *pair_seeds(42, 100)]
    assert len(set(seeds)) == 300
    assert min(seeds) + SEED_OFFSET >= 1_000_000
    with pytest.raises(UserError, match="at most 10000 pairs"):
        pair_seeds(0, 10_001)
