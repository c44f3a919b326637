"""Temporal distances learned in hindsight are the world's: in steps, one-way, put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.vector.reachability import (
    ReachabilityTraining,
    _arrival,
    train_reachability,
)
from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.training_log import TrainingLog

pytestmark = pytest.mark.slow

EPISODES, LENGTH, STRIDE = 60, 20, 1
TRAINING = ReachabilityTraining(steps=1000, batch=256, spread=0.2)


def _ring() -> Recordings:
    """A thing on a ring of 24 places that only ever turns one way, or waits; 20 frames an episode.

    The arm of the recordings is at one of two places, and changes it at random.
    """
    rng = np.random.default_rng(0)
    moves = rng.random((EPISODES, LENGTH)) < 0.7
    place = (rng.integers(24, size=(EPISODES, 1)) + np.cumsum(moves, 1)).reshape(-1)
    arm = rng.integers(2, size=(EPISODES * LENGTH, 1))
    angle = 2 * np.pi * place / 24
    codes = np.stack([np.cos(angle), np.sin(angle)], -1)
    return Recordings(
        torch.from_numpy(codes).float().unsqueeze(1),
        torch.zeros(EPISODES * LENGTH, 1),
        torch.from_numpy(arm).float(),
        np.arange(EPISODES, dtype=np.int64) * LENGTH,
        np.full(EPISODES, LENGTH, np.int64),
        np.arange(EPISODES, dtype=np.int64),
        np.arange(0, dtype=np.int64),
        torch.from_numpy(place % 24)[:, None].float(),
    )


@pytest.fixture(scope="module")
def data() -> Recordings:
    return _ring()


def _model() -> VectorPredictor:
    torch.manual_seed(0)
    sizes = VectorPredictorConfig(
        tokens=1,
        token_width=2,
        action_width=1,
        state_width=1,
        states=StateLayout(composed=False),
        object_width=2,
        stride=STRIDE,
        width=8,
        depth=1,
        head_width=64,
    )
    return VectorPredictor(sizes)


def _trained(data: Recordings, folder: Path, config: ReachabilityTraining) -> VectorPredictor:
    model = _model()
    model.state_features.fit(data.states)
    with TrainingLog(folder, "train", total=config.steps, start=0) as log:
        run = TrainingRun(model, data, torch.Generator().manual_seed(0), log)
        # Codes are the truth: what is learned of them is the subject.
        run.latents = run.goal_latents = torch.cat([data.latents[:, 0], run.features], -1)
        run.scenes = run.object_latents
        train_reachability(run, config)
    return model


@pytest.fixture(scope="module")
def model(data: Recordings, tmp_path_factory: pytest.TempPathFactory) -> VectorPredictor:
    return _trained(data, tmp_path_factory.mktemp("run"), TRAINING)


@torch.no_grad()
def _distances(model: VectorPredictor, data: Recordings, ahead: int) -> torch.Tensor:
    """Imagined steps ``[24]`` from every place to the scene so many places on."""
    angle = 2 * torch.pi * torch.arange(24) / 24
    codes = torch.stack([angle.cos(), angle.sin()], -1)
    arm = model.state_features(torch.zeros(24, 1))
    moments = torch.cat([codes, arm], -1)
    return model.steps(moments, model.goals(moments.roll(-ahead, 0), with_proprio=False))


def test_distances_are_in_imagined_steps_and_grow_with_the_way(
    model: VectorPredictor, data: Recordings
) -> None:
    assert _distances(model, data, 0).abs().max() == 0
    found = torch.stack([_distances(model, data, ahead).mean() for ahead in (1, 4, 8, 12)])
    assert bool((found.diff() > 0.5).all())
    # Things wait 3 steps of 10 on average; the shortest way seen lies between never and always.
    for ahead, steps in zip((4, 8, 12), found[1:].tolist(), strict=True):
        assert 0.7 * ahead < steps < 1.6 * ahead


def test_a_one_way_street_is_long_the_other_way(model: VectorPredictor, data: Recordings) -> None:
    forth, back = (_distances(model, data, ahead).mean() for ahead in (3, -3))
    assert back > 2.5 * forth


def test_more_was_learned_than_any_one_episode_shows(
    model: VectorPredictor, data: Recordings
) -> None:
    """No episode goes 20 places on; moments of several tell how far that is."""
    assert _distances(model, data, 20).mean() > _distances(model, data, 12).mean() + 1


def test_without_steps_it_stays_as_it_was(data: Recordings, tmp_path: Path) -> None:
    fresh, left = _model(), _trained(data, tmp_path, ReachabilityTraining(steps=0))
    for name, value in fresh.reachability.state_dict().items():
        assert torch.equal(left.reachability.state_dict()[name], value)


def test_no_other_part_of_the_model_changes(model: VectorPredictor) -> None:
    fresh = dict(_model().named_parameters())
    for name, value in model.named_parameters():
        assert torch.equal(value, fresh[name]) != name.startswith("reachability."), name


def test_what_counts_is_when_the_goal_is_first_shown(data: Recordings, tmp_path: Path) -> None:
    with TrainingLog(tmp_path, "train", total=0, start=0) as log:
        run = TrainingRun(_model(), data, torch.Generator(), log)
    run.latents = run.goal_latents = torch.cat([data.latents[:, 0], run.features], -1)
    run.scenes = run.object_latents
    run.near = torch.tensor(1e-3)  # of these scenes, which are exact
    here, goal = torch.zeros(8, dtype=torch.long), torch.arange(8)
    counted = _arrival(run, TRAINING, here, goal, torch.ones(8, dtype=torch.bool))
    seen = _arrival(run, TRAINING, here, goal, torch.zeros(8, dtype=torch.bool))
    assert data.objects is not None
    places, arms = data.objects[:8, 0].tolist(), data.states[:8, 0].tolist()
    assert seen.tolist() == [places.index(place) for place in places]
    both = list(zip(places, arms, strict=True))
    assert counted.tolist() == [both.index(one) for one in both]
    assert seen.tolist() != counted.tolist() != list(range(8))
