"""Object latents say where objects are, in appearances that were never trained on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.vector.object_latent import ObjectLatentTraining, train_object_latent
from worldmodel.dynamics.vector.run import TrainingRun, planning_latents
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.training_log import TrainingLog

pytestmark = pytest.mark.slow

EPISODES, LENGTH, SIDE, WIDTH = 2000, 12, 4, 6
TOKENS = SIDE * SIDE


@pytest.fixture(scope="module")
def data() -> Recordings:
    """A hand that fetches a thing and puts it down elsewhere, before backgrounds that drown it.

    Hand and thing are on the diagonal of a picture; every episode has a background of its own.
    """
    noise = torch.Generator().manual_seed(0)
    start, place, target, end = (2 * torch.rand(EPISODES, 4, generator=noise) - 1).T
    share = torch.linspace(0, 1, LENGTH // 3 + 1)[1:]
    way = [a[:, None].lerp(b[:, None], share) for a, b in pairwise((start, place, target, end))]
    hands = torch.cat(way, 1)
    places = torch.cat(
        [place[:, None].expand_as(way[0]), way[1], target[:, None].expand_as(way[2])], 1
    )
    line = torch.linspace(-1, 1, SIDE)
    away = (places[..., None, None] - torch.cartesian_prod(line, line)).square().sum(-1)
    bumps = 3 * torch.exp(-3 * away)[..., None]
    background = torch.randn(EPISODES, 1, TOKENS, WIDTH, generator=noise)
    states = hands.flatten()[:, None]
    return Recordings(
        (background + bumps).flatten(0, 1),
        torch.zeros(EPISODES * LENGTH, 1),
        states,
        np.arange(EPISODES, dtype=np.int64) * LENGTH,
        np.full(EPISODES, LENGTH, np.int64),
        np.arange(EPISODES - 200, dtype=np.int64),
        np.arange(EPISODES - 200, EPISODES, dtype=np.int64),
        places.flatten()[:, None],
    )


@pytest.fixture(scope="module")
def model(data: Recordings, tmp_path_factory: pytest.TempPathFactory) -> VectorPredictor:
    torch.manual_seed(0)
    sizes = VectorPredictorConfig(
        tokens=TOKENS,
        token_width=WIDTH,
        action_width=1,
        state_width=1,
        states=StateLayout(composed=False),
        object_width=2,
        sight_width=64,
        width=8,
        head_width=8,
        prior_width=8,
    )
    model = VectorPredictor(sizes)
    model.state_features.fit(data.states)
    config = ObjectLatentTraining(steps=1000, batch=128, way=(1, 2, 4), goal_rate=0.2)
    with TrainingLog(tmp_path_factory.mktemp("run"), "train", total=1000, start=0) as log:
        train_object_latent(TrainingRun(model, data, torch.Generator().manual_seed(0), log), config)
    return model


def _missed(
    model: VectorPredictor, data: Recordings, references: torch.Tensor, places: torch.Tensor
) -> float:
    """By how much places in unseen episodes are misread off codes, against their spread."""
    codes = model.object_latents(planning_latents(model, data.latents, references))
    x, y = codes.unbind(-1)
    bent = torch.stack([x**i * y**j for i in range(5) for j in range(5 - i)], -1)
    known, unseen = data.rows(data.train), data.rows(data.held_out)
    told = bent @ torch.linalg.lstsq(bent[known], places[known]).solution
    return float((told - places)[unseen].std() / places[unseen].std())


def test_codes_tell_places_before_backgrounds_that_are_new(
    model: VectorPredictor, data: Recordings
) -> None:
    assert data.objects is not None
    for references in (data.last_rows(), data.first_rows()):
        assert _missed(model, data, references, data.objects) < 0.25


def test_a_reference_of_another_scene_is_worth_less(
    model: VectorPredictor, data: Recordings
) -> None:
    assert data.objects is not None
    here, elsewhere = data.last_rows(), data.last_rows().roll(LENGTH)
    found = [_missed(model, data, references, data.objects) for references in (here, elsewhere)]
    assert found[1] > 1.3 * found[0]


def test_an_object_latent_is_of_the_frame_and_not_of_its_reference(
    model: VectorPredictor, data: Recordings
) -> None:
    assert data.objects is not None
    references = data.last_rows()
    found = [
        _missed(model, data, references, data.objects[rows]) for rows in (slice(None), references)
    ]
    assert found[1] > 1.3 * found[0]


def test_parts_divide_the_batch() -> None:
    with pytest.raises(ValueError, match=r"divides into object_latent\.parts=3 parts, got 256"):
        ObjectLatentTraining(parts=3)
