"""Doubts look at what was imagined up to a step, and at nothing else."""

from __future__ import annotations

import pytest
import torch

from worldmodel.predictors.doubts import STEPS, TERMS, Doubts, Path, disagreement

R, K, C, F, A, LEAP = 3, 7, 4, 5, 6, 3


@pytest.fixture(scope="module")
def doubts() -> Doubts:
    torch.manual_seed(0)
    return Doubts(C, F, A, LEAP, width=16)


def _path(seed: int = 0) -> Path:
    noise = torch.Generator().manual_seed(seed)
    return Path(
        torch.randn(R, K + 1, C, generator=noise),
        torch.randn(R, K + 1, F, generator=noise),
        torch.randn(R, K, A, generator=noise),
    )


def _until(path: Path, step: int) -> Path:
    return Path(path.codes[:, : step + 1], path.features[:, : step + 1], path.actions[:, :step])


def test_every_term_but_the_first_is_learned(doubts: Doubts) -> None:
    assert ("disagreement", *doubts.learned) == TERMS
    assert doubts.q90.shape == doubts.q99.shape == (len(TERMS), STEPS)


@pytest.mark.parametrize("name", TERMS[1:])
def test_a_step_is_doubted_for_what_leads_up_to_it(doubts: Doubts, name: str) -> None:
    doubt, path = doubts.learned[name], _path()
    whole = doubt(path)
    assert whole.shape == (R, K)
    for step in range(1, K + 1):
        torch.testing.assert_close(doubt(_until(path, step)), whole[:, :step])


def test_disagreement_is_the_variance_of_the_members() -> None:
    members = torch.tensor([[[0.0, 1.0]], [[2.0, 1.0]]])
    torch.testing.assert_close(disagreement(members), torch.tensor([0.5]))


def test_the_expected_error_grows_with_every_step(doubts: Doubts) -> None:
    variance = doubts.variance(_path())
    assert bool((variance > 0).all())
    assert bool((variance.diff(dim=-2) > 0).all())


def test_a_leap_starts_as_far_back_as_it_reaches(doubts: Doubts) -> None:
    path = _path()
    within, before = path.codes.clone(), path.codes.clone()
    within[:, K - LEAP] += 1.0
    before[:, K - LEAP - 1] += 1.0
    whole = doubts.leap(path)[:, -1]
    assert not torch.allclose(doubts.leap(path._replace(codes=within))[:, -1], whole)
    assert torch.equal(doubts.leap(path._replace(codes=before))[:, -1], whole)


def test_actions_are_not_inferred_from_where_the_arm_ends(doubts: Doubts) -> None:
    path = _path()
    features = path.features.clone()
    features[:, -1] += 1.0
    assert torch.equal(doubts.cycle(path._replace(features=features)), doubts.cycle(path))
