"""The object's position is read off codes by a probe that errs little itself, honestly fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.validation import OpenLoop, compare
from worldmodel.finite import NotFiniteError
from worldmodel.pretraining.probe import fit_ridge, position_error_cm

EPISODES, HELD_OUT, LENGTH = 100, 10, 20
FRAMES = torch.arange(HELD_OUT)[:, None] * LENGTH + torch.arange(4) * 3
FRAMES += (EPISODES - HELD_OUT) * LENGTH


@pytest.fixture(scope="module")
def polar() -> Recordings:
    """An object on a ring of 5 to 25 cm; the code of a frame is its radius and its angle."""
    generator = torch.Generator().manual_seed(0)
    radius, angle = torch.rand(2, EPISODES * LENGTH, generator=generator)
    radius, angle = 0.05 + 0.2 * radius, 2 * torch.pi * angle
    nothing = torch.zeros(EPISODES * LENGTH, 1)
    return Recordings(
        torch.stack([radius, angle], -1).unsqueeze(1),
        nothing,
        nothing,
        np.arange(EPISODES, dtype=np.int64) * LENGTH,
        np.full(EPISODES, LENGTH, np.int64),
        np.arange(EPISODES - HELD_OUT, dtype=np.int64),
        np.arange(EPISODES - HELD_OUT, EPISODES, dtype=np.int64),
        torch.stack([radius * angle.cos(), radius * angle.sin(), torch.full_like(radius, 0.02)], 1),
    )


def _read(data: Recordings) -> OpenLoop:
    """What is found of an imagination that is perfect."""
    return compare(data.latents[FRAMES[:, 1:]], FRAMES, data, data.latents)


@pytest.fixture(scope="module")
def found(polar: Recordings) -> OpenLoop:
    return _read(polar)


@pytest.mark.slow
def test_positions_are_read_off_codes_that_bend(polar: Recordings, found: OpenLoop) -> None:
    assert max(found.object_true_cm) < 0.5
    assert found.object_cm == found.object_true_cm
    assert min(found.object_copy_cm) > 5
    assert polar.objects is not None
    train, held_out = polar.rows(polar.train), polar.rows(polar.held_out)
    linear = fit_ridge(polar.latents[train], polar.objects[train])
    assert position_error_cm(linear(polar.latents[held_out]), polar.objects[held_out]) > 5


@pytest.mark.slow
def test_the_probe_is_fitted_to_training_episodes_and_leaves_the_callers_stream_alone(
    polar: Recordings, found: OpenLoop
) -> None:
    assert polar.objects is not None
    elsewhere = polar.rows(polar.held_out)
    elsewhere = elsewhere[~torch.isin(elsewhere, FRAMES)]
    objects, latents = polar.objects.clone(), polar.latents.clone()
    objects[elsewhere], latents[elsewhere] = 7.0, 7.0
    before = torch.get_rng_state()
    assert _read(replace(polar, objects=objects, latents=latents)) == found
    assert torch.equal(torch.get_rng_state(), before)


def test_an_imagination_that_is_not_finite_is_an_error(polar: Recordings) -> None:
    imagined = polar.latents[FRAMES[:, 1:]].clone()
    imagined[0, 1] = torch.nan
    with pytest.raises(NotFiniteError, match=r"fails on held-out episodes: .* imagined latents"):
        compare(imagined, FRAMES, polar, polar.latents)
