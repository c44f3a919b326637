"""A world notices pictures that are unlike those it was trained on."""

from __future__ import annotations

import torch

from worldmodel.predictors.familiarity import Familiarity


def test_training_frames_are_usual_and_noise_is_not() -> None:
    draw = torch.Generator().manual_seed(0)
    direction = torch.randn(16, generator=draw)
    tokens = torch.randn(200, 9, 1, generator=draw) * direction + direction
    familiarity = Familiarity(16)
    familiarity.fit(tokens, batch=64)
    assert familiarity(tokens).max() < 1
    assert familiarity(torch.randn(5, 9, 16, generator=draw)).min() > 1


def test_what_was_never_fitted_finds_nothing_strange() -> None:
    assert torch.equal(Familiarity(4)(torch.full((2, 3, 9, 4), 1e6)), torch.zeros(2, 3))


def test_frames_that_are_all_alike_leave_a_finite_measure() -> None:
    familiarity = Familiarity(4)
    familiarity.fit(torch.ones(3, 9, 4))
    assert familiarity(torch.ones(9, 4)).isfinite()
    assert familiarity(torch.zeros(9, 4)) > 1
