"""A point on a plane goes where it is pushed: the inverse model finds the pushes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from worldmodel.dynamics.inverse import InverseTraining, inverse_errors, train_inverse
from worldmodel.dynamics.recordings import Recordings
from worldmodel.predictors.lewm import LewmPredictor, LewmPredictorConfig

EPISODES, LENGTH, FAR = 60, 13, 3
TRAINING = InverseTraining(steps=600, batch=128, learning_rate=3e-3)


def _predictor(data: Recordings, stride: int) -> LewmPredictor:
    torch.manual_seed(0)
    sizes = LewmPredictorConfig(latent_width=2, stride=stride, width=4, depth=1, heads=1)
    made = LewmPredictor(replace(sizes, inverse_width=64, inverse_ahead=FAR))
    made.scale_actions.fit(data.actions)
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def data() -> Recordings:
    """Latents are places, and an action is what is added to them; each episode has its own."""
    rng = np.random.default_rng(0)
    actions = rng.uniform(-0.3, 0.3, (EPISODES, 1, 2)) + rng.normal(0, 0.02, (EPISODES, LENGTH, 2))
    places = rng.normal(size=(EPISODES, 1, 2)) + np.cumsum(actions, 1) - actions
    lengths, order = np.full(EPISODES, LENGTH), np.arange(EPISODES)
    return Recordings(
        torch.from_numpy(places.reshape(-1, 1, 2)).half(),
        torch.from_numpy(actions.reshape(-1, 2)).float(),
        torch.zeros(EPISODES * LENGTH, 0),
        np.cumsum(lengths) - lengths,
        lengths,
        order[:50],
        order[50:],
    )


def _asked(model: LewmPredictor, goal: list[float], left: int) -> Tensor:
    """Actions ``[stride, 2]`` from the middle to a goal."""
    scaled = model.inverse(torch.zeros(1, 2), torch.tensor([goal]), torch.tensor([left]))
    return model.scale_actions.inverse(scaled.unflatten(1, (-1, 2)))[0]


@pytest.mark.parametrize("stride", [1, 2])
def test_it_points_to_the_goal_and_hurries_when_little_time_is_left(
    data: Recordings, stride: int
) -> None:
    model = _predictor(data, stride)
    assert inverse_errors(model, data) is None
    train_inverse(model, data, TRAINING)
    for goal in ([0.3, 0.0], [-0.2, 0.2], [0.0, -0.3]):
        for left in (1, FAR):
            actions = _asked(model, goal, left)
            assert actions.shape == (stride, 2)
            expected = torch.tensor(goal) / (stride * left)
            torch.testing.assert_close(actions, expected.expand(stride, 2), rtol=0.0, atol=0.06)
    assert torch.equal(_asked(model, [0.3, 0.0], FAR), _asked(model, [0.3, 0.0], FAR + 5))
    found = inverse_errors(model, data)
    assert found is not None
    assert found.left == (1, 2, 3)
    for error, mean in zip(found.error, found.mean, strict=True):
        assert error < 0.4 * mean


def test_goals_are_of_the_same_episode(data: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    model, first = _predictor(data, 2), data.first_rows()
    numbered = replace(data, latents=torch.arange(len(first))[:, None, None].expand(-1, 1, 2))
    seen = []
    monkeypatch.setattr(
        type(model.inverse),
        "forward",
        lambda self, now, goals, left: (
            seen.append((now[:, 0].long(), goals[:, 0].long(), left))
            or self.block(torch.zeros(len(now), 4 + FAR))
        ),
    )
    train_inverse(model, numbered, replace(TRAINING, steps=20))
    now, goals, left = (torch.cat(parts) for parts in zip(*seen, strict=True))
    assert torch.equal(goals, now + 2 * left)
    assert torch.equal(first[goals], first[now])
    assert sorted(left.unique().tolist()) == [1, 2, 3]
    assert now.max() < 50 * LENGTH  # of episodes to train on


def test_without_steps_it_stays_untrained(data: Recordings) -> None:
    model = _predictor(data, 1)
    before = {name: tensor.clone() for name, tensor in model.inverse.state_dict().items()}
    train_inverse(model, data, replace(TRAINING, steps=0))
    assert all(torch.equal(before[k], v) for k, v in model.inverse.state_dict().items())
