"""The same scene is known again wherever the arm is, though codes are shifted by the arm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.vector.recognition import recognition
from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.dynamics.vector.scenes import ScenesTraining, train_scenes
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.training_log import TrainingLog

EPISODES, LENGTH = 200, 40
FREE = torch.tensor(False)


@pytest.fixture(scope="module")
def data() -> Recordings:
    """A hand that wanders, and a thing that now and then jumps; its code shifts with the hand."""
    rng = np.random.default_rng(0)
    hands = rng.normal(0, 0.5, (EPISODES, LENGTH)).cumsum(1)
    jumps = rng.random((EPISODES, LENGTH)) < 0.1
    jumps[:, 0] = True
    nth = jumps.cumsum(1) - 1
    things = np.take_along_axis(rng.uniform(-1, 1, (EPISODES, LENGTH)), nth, 1)
    states = torch.from_numpy(hands).float().view(-1, 1)
    return Recordings(
        torch.zeros(EPISODES * LENGTH, 1, 1),
        torch.zeros(EPISODES * LENGTH, 1),
        states,
        np.arange(EPISODES, dtype=np.int64) * LENGTH,
        np.full(EPISODES, LENGTH, np.int64),
        np.arange(EPISODES, dtype=np.int64),
        np.arange(0, dtype=np.int64),
        torch.from_numpy(things).float().view(-1, 1),
    )


@pytest.fixture(scope="module")
def run(data: Recordings, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    torch.manual_seed(0)
    model = VectorPredictor(
        VectorPredictorConfig(
            tokens=1, token_width=1, action_width=1, state_width=1, object_width=1, scene_width=1,
            head_width=64, states=StateLayout(composed=False),
        )
    )  # fmt: skip
    model.state_features.fit(data.states)
    config = ScenesTraining(steps=800, batch=256, apart=4, learning_rate=3e-3)
    with TrainingLog(tmp_path_factory.mktemp("run"), "train", total=800, start=0) as log:
        run = TrainingRun(model, data, torch.Generator().manual_seed(0), log)
        assert data.objects is not None
        noise = 0.05 * torch.randn(data.objects.shape)
        codes = 2 * data.objects + run.features + noise
        run.latents = torch.cat([codes, run.features], -1)
        train_scenes(run, config)
    return run


def _pairs(run: TrainingRun) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Moments of one episode with the hand far apart, by how far the thing is."""
    assert run.data.objects is not None
    start = torch.arange(EPISODES)[:, None] * LENGTH
    here, there = torch.triu_indices(LENGTH, LENGTH, 1)
    here, there = (start + here).flatten(), (start + there).flatten()
    far = (run.features[here] - run.features[there]).norm(dim=-1) > 1
    here, there = here[far], there[far]
    return here, there, *(run.data.objects[at, 0] for at in (here, there))


def test_the_hand_is_taken_out(run: TrainingRun) -> None:
    here, there, thing, other = _pairs(run)
    same = (thing == other).nonzero()[:, 0]
    found = run.shows(here[same], there[same], FREE, 0.4).float().mean()
    shifted = (run.object_latents[here[same]] - run.object_latents[there[same]]).abs()
    assert found > 0.8
    assert shifted.median() > 1


def test_what_has_moved_is_told_apart(run: TrainingRun) -> None:
    here, there, thing, other = _pairs(run)
    moved = ((thing - other).abs() > 0.5).nonzero()[:, 0]
    assert run.shows(here[moved], there[moved], FREE, 0.4).float().mean() < 0.1


def test_the_arm_counts_where_it_is_asked_for(run: TrainingRun) -> None:
    here, there, *_ = _pairs(run)
    assert not run.shows(here, there, ~FREE, 0.4).any()
    assert run.shows(here, here, ~FREE, 0.4).all()


def test_validation_tells_how_well(run: TrainingRun, data: Recordings) -> None:
    assert data.objects is not None
    near = replace(data, objects=0.1 * data.objects, held_out=data.train)  # in metres
    found = recognition(run.model, near, run.latents)
    assert found["scenes"].unmoved > 0.8 > 2 * found["object_latents"].unmoved
    assert found["scenes"].moved < 0.1


def test_validation_is_silent_where_it_cannot_tell(run: TrainingRun, data: Recordings) -> None:
    assert recognition(run.model, replace(data, objects=None), run.latents) == {}
