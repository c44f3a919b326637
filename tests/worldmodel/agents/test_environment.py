"""What an environment says of its actions, and what a user states where it does not."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from worldmodel.agents.environment import contract
from worldmodel.errors import UserError
from worldmodel.spec import SpecChanges

ABSOLUTE = SpecChanges(action_kind="absolute")


class Mover(gymnasium.Env):
    """It only says what it offers."""

    def __init__(self, low: float = -1.0, high: float = 3.0, **actions: Any) -> None:
        picture = spaces.Box(0, 255, (8, 8, 3), np.uint8)
        self.observation_space = spaces.Dict(image=picture, goal=picture)
        self.action_space = spaces.Box(low, high, (2,))
        self.metadata = {"actions": actions}


def test_absolute_actions_rest_in_the_middle_where_nobody_states_a_rest():
    assert contract(Mover()).actions.rest == (0, 0)
    assert contract(Mover(), ABSOLUTE).actions.rest == (1, 1)
    assert contract(Mover(kind="absolute")).actions.rest == (1, 1)
    assert contract(Mover(50, 450)).actions.rest == (250, 250)


def test_a_rest_that_is_stated_is_kept():
    assert contract(Mover(rest=[0, 0]), ABSOLUTE).actions.rest == (0, 0)
    told = SpecChanges(action_kind="absolute", rest=(2, 2))
    assert contract(Mover(rest=[0, 0]), told).actions.rest == (2, 2)


def test_what_a_user_states_has_to_fit():
    with pytest.raises(UserError, match="low <= rest <= high of action action_0, got -1, 9, 3"):
        contract(Mover(), SpecChanges(rest=(9, 9)))
