"""An uncertainty depends on what was imagined up to its step, and on nothing else."""

from __future__ import annotations

import pytest
import torch

from worldmodel.predictors.uncertainty import STEPS, TERMS, Path, UncertaintyHeads, disagreement

R, K, C, F, A, LEAP = 3, 7, 4, 5, 6, 3


@pytest.fixture(scope="module")
def uncertainties() -> UncertaintyHeads:
    torch.manual_seed(0)
    return UncertaintyHeads(C, F, A, LEAP, width=16)


def _path(seed: int = 0) -> Path:
    noise = torch.Generator().manual_seed(seed)
    return Path(
        torch.randn(R, K + 1, C, generator=noise),
        torch.randn(R, K + 1, F, generator=noise),
        torch.randn(R, K, A, generator=noise),
    )


def _until(path: Path, step: int) -> Path:
    return Path(path.codes[:, : step + 1], path.features[:, : step + 1], path.actions[:, :step])


def test_every_term_but_the_first_is_learned(uncertainties: UncertaintyHeads) -> None:
    assert ("disagreement", *uncertainties.learned) == TERMS
    assert uncertainties.q90.shape == uncertainties.q99.shape == (len(TERMS), STEPS)


@pytest.mark.parametrize("name", TERMS[1:])
def test_a_step_is_judged_by_what_leads_up_to_it(
    uncertainties: UncertaintyHeads, name: str
) -> None:
    uncertainty, path = uncertainties.learned[name], _path()
    whole = uncertainty(path)
    assert whole.shape == (R, K)
    for step in range(1, K + 1):
        torch.testing.assert_close(uncertainty(_until(path, step)), whole[:, :step])


def test_disagreement_is_the_variance_of_the_members() -> None:
    members = torch.tensor([[[0.0, 1.0]], [[2.0, 1.0]]])
    torch.testing.assert_close(disagreement(members), torch.tensor([0.5]))


def test_the_expected_error_grows_with_every_step(uncertainties: UncertaintyHeads) -> None:
    variance = uncertainties.variance(_path())
    assert bool((variance > 0).all())
    assert bool((variance.diff(dim=-2) > 0).all())


def test_a_leap_starts_as_far_back_as_it_reaches(uncertainties: UncertaintyHeads) -> None:
    path = _path()
    within, before = path.codes.clone(), path.codes.clone()
    within[:, K - LEAP] += 1.0
    before[:, K - LEAP - 1] += 1.0
    whole = uncertainties.leap(path)[:, -1]
    assert not torch.allclose(uncertainties.leap(path._replace(codes=within))[:, -1], whole)
    assert torch.equal(uncertainties.leap(path._replace(codes=before))[:, -1], whole)
