"""An object latent that draws its frame says where things are that the robot never touches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.vector.object_latent import ObjectLatentTraining, train_object_latent
from worldmodel.dynamics.vector.picture import PictureTraining, train_picture
from worldmodel.dynamics.vector.run import TrainingRun, planning_latents
from worldmodel.dynamics.vector.scenes import ScenesTraining, train_scenes
from worldmodel.errors import UserError
from worldmodel.predictors.planning_head import Keypoints
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.training_log import TrainingLog

EPISODES, LENGTH, SIDE, WIDTH = 300, 10, 6, 3


@pytest.fixture(scope="module")
def data() -> Recordings:
    """A robot and a thing, each a bump in a picture, that move independently of one another."""
    noise = torch.Generator().manual_seed(0)
    robot, thing = 2 * torch.rand(2, EPISODES * LENGTH, 2, generator=noise) - 1
    line = torch.linspace(-1, 1, SIDE)
    grid = torch.cartesian_prod(line, line)

    def bump(places: Tensor) -> Tensor:
        return torch.exp(-4 * (places[:, None] - grid).square().sum(-1))

    background = torch.randn(SIDE**2, WIDTH, generator=noise)
    colours = torch.tensor([[3.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
    shown = torch.stack([bump(robot), bump(thing)], -1) @ colours
    return Recordings(
        background + shown,
        torch.zeros(EPISODES * LENGTH, 1),
        robot,
        np.arange(EPISODES, dtype=np.int64) * LENGTH,
        np.full(EPISODES, LENGTH, np.int64),
        np.arange(EPISODES - 50, dtype=np.int64),
        np.arange(EPISODES - 50, EPISODES, dtype=np.int64),
        thing,
    )


def _model(data: Recordings, sight: str, glimpse: int = 0) -> VectorPredictor:
    torch.manual_seed(0)
    sizes = VectorPredictorConfig(
        tokens=SIDE**2,
        token_width=WIDTH,
        action_width=1,
        state_width=2,
        states=StateLayout(composed=False),
        object_width=4 + glimpse,
        sight=sight,
        glimpse=glimpse,
        scene_width=0,
        sight_width=16,
        proprio_width=32,
        width=8,
        head_width=8,
        prior_width=8,
    )
    model = VectorPredictor(sizes)
    model.state_features.fit(data.states)
    return model


def _train(model: VectorPredictor, data: Recordings, folder: Path, steps: int) -> None:
    with TrainingLog(folder, "train", total=steps or 1, start=0) as log:
        run = TrainingRun(model, data, torch.Generator().manual_seed(0), log)
        train_picture(run, PictureTraining(steps=steps, batch=64, channels=16))


def _unread(model: VectorPredictor, data: Recordings, places: Tensor) -> float:
    """Share of the variance of places in unseen episodes that no line through latents tells."""
    codes = model.object_latents(planning_latents(model, data.latents, data.last_rows()))
    lines = torch.cat([torch.ones(len(codes), 1), codes], -1)
    known, unseen = data.rows(data.train), data.rows(data.held_out)
    told = lines @ torch.linalg.lstsq(lines[known], places[known]).solution
    return float((told - places)[unseen].var() / places[unseen].var())


@pytest.mark.slow
def test_it_tells_places_that_no_way_tells(data: Recordings, tmp_path: Path) -> None:
    assert data.objects is not None
    model = _model(data, "grid")
    _train(model, data, tmp_path, 400)
    assert _unread(model, data, data.objects) < 0.2


@torch.no_grad()
def test_latents_have_one_scale_and_stay_small_where_nothing_moves(data: Recordings) -> None:
    points = _model(data, "grid").head.code
    assert isinstance(points, Keypoints)
    points.fit(data.latents)
    assert points(data.latents).var(0).mean() < 1.0  # an untrained one finds the middle
    points.find.maps.weight *= 100.0
    points.fit(data.latents)
    codes = points(data.latents)
    assert codes.var(0).mean() == pytest.approx(1.0, abs=0.01)
    assert codes.mean(0).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("sight", "stage"),
    [
        ("points", (train_picture, PictureTraining)),
        ("grid", (train_object_latent, ObjectLatentTraining)),
    ],
)
def test_a_sight_is_trained_by_its_own_stage(
    data: Recordings, tmp_path: Path, sight: str, stage: tuple[Any, Any]
) -> None:
    train, settings = stage
    with TrainingLog(tmp_path, "train", total=1, start=0) as log:
        run = TrainingRun(_model(data, sight), data, torch.Generator(), log)
        with pytest.raises(UserError, match=r"Expected model\.sight="):
            train(run, settings(steps=1))


def test_without_steps_nothing_is_drawn_or_changed(data: Recordings, tmp_path: Path) -> None:
    model = _model(data, "grid")
    before, state = [w.clone() for w in model.parameters()], torch.get_rng_state()
    _train(model, data, tmp_path, 0)
    assert all(torch.equal(*x) for x in zip(before, model.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())


def test_a_grid_is_read_without_its_reference(data: Recordings) -> None:
    model = _model(data, "grid")
    frames, references = data.latents[:3], data.latents[3:6]
    assert torch.equal(model.encode(frames, references), model.encode(frames, frames))


def test_latents_that_are_scenes_themselves_need_no_stage(data: Recordings, tmp_path: Path) -> None:
    model = _model(data, "grid")
    codes = torch.randn(5, 4)
    assert torch.equal(model.scenes(codes, torch.randn(5, 2)), codes)
    with TrainingLog(tmp_path, "train", total=1, start=0) as log:
        run = TrainingRun(model, data, torch.Generator(), log)
        train_scenes(run, ScenesTraining(steps=5))
        assert torch.equal(run.scenes, run.object_latents)
