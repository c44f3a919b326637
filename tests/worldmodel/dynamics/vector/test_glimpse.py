"""A glimpse tells how a thing looks, which its place does not say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.vector.glimpse import GlimpseTraining, train_glimpse
from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.predictors.planning_head import Keypoints
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.training_log import TrainingLog

EPISODES, LENGTH, SIDE, WIDTH = 60, 10, 8, 3
COUNT = EPISODES * LENGTH


class _Pointing(torch.nn.Module):
    """Finds the robot, then the thing, which a frame's first tokens tell; so it need not learn."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[..., :2, :2].flatten(-2)


def _frames(robot: Tensor, thing: Tensor, turns: Tensor) -> Tensor:
    """A thing shines on the token it lies in and its neighbours, in a colour that is its turn."""
    line = torch.linspace(-1, 1, SIDE)
    apart = (thing[:, None] - torch.cartesian_prod(line, line)).square().sum(-1)
    colour = torch.stack([turns.cos(), turns.sin(), torch.ones_like(turns)], -1)
    tokens = torch.exp(-8 * apart)[..., None] * colour[:, None]
    tokens[:, 0, :2], tokens[:, 1, :2] = robot, thing
    return tokens


def _run(folder: Path, data: Recordings, settings: GlimpseTraining) -> tuple[Keypoints, Tensor]:
    torch.manual_seed(0)
    sizes = VectorPredictorConfig(
        tokens=SIDE**2,
        token_width=WIDTH,
        action_width=1,
        state_width=2,
        states=StateLayout(composed=False),
        object_width=4 + 4,
        sight="grid",
        glimpse=4,
        scene_width=0,
        sight_width=8,
        width=8,
        head_width=8,
        prior_width=8,
    )
    model = VectorPredictor(sizes)
    model.state_features.fit(data.states)
    points = model.head.code
    assert isinstance(points, Keypoints)
    points.find = _Pointing()  # type: ignore[assignment]
    with TrainingLog(folder, "train", total=max(settings.steps, 1), start=0) as log:
        train_glimpse(TrainingRun(model, data, torch.Generator().manual_seed(0), log), settings)
    with torch.no_grad():
        return points, points(data.latents)


def _data(seed: int, moves: float) -> tuple[Recordings, Tensor]:
    """A robot and a thing that go anywhere, the thing as far as is said; and the thing's turns."""
    noise = torch.Generator().manual_seed(seed)
    robot, thing = 1.2 * torch.rand(2, COUNT, 2, generator=noise) - 0.6
    turns = 6.28 * torch.rand(COUNT, generator=noise)
    data = Recordings(
        _frames(robot, moves * thing, turns),
        torch.zeros(COUNT, 1),
        robot,
        np.arange(EPISODES, dtype=np.int64) * LENGTH,
        np.full(EPISODES, LENGTH, np.int64),
        np.arange(EPISODES - 10, dtype=np.int64),
        np.arange(EPISODES - 10, EPISODES, dtype=np.int64),
    )
    return data, turns


def test_it_goes_to_what_the_robot_does_not_explain_and_tells_its_turn(tmp_path: Path) -> None:
    data, turns = _data(seed=0, moves=1.0)
    unread = {}
    for steps in (0, 400):
        points, codes = _run(tmp_path / str(steps), data, GlimpseTraining(steps=steps))
        lines = torch.cat([torch.ones(COUNT, 1), codes], -1)
        told = torch.stack([turns.cos(), turns.sin()], -1)
        left = lines @ torch.linalg.lstsq(lines[:400], told[:400]).solution - told
        unread[steps] = float(left[400:].var() / told[400:].var())
    assert points.gaze.tolist() == [1]
    assert unread[400] < 0.15 < unread[0]
    assert codes[:, 4:].var(0).sum() == pytest.approx(2.0, abs=0.2)


def test_it_hardly_counts_where_nothing_moves_by_itself(tmp_path: Path) -> None:
    data, _ = _data(seed=1, moves=0.0)
    _, codes = _run(tmp_path, data, GlimpseTraining(steps=20))
    assert codes[:, 4:].var(0).sum() < 1e-3
