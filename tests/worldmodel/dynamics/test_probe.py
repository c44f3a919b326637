"""A probe is a value: fitted alike every time, and good in another process."""

from __future__ import annotations

import pickle

import pytest
import torch

from worldmodel.dynamics import probe
from worldmodel.dynamics.probe import fit_probe
from worldmodel.finite import NotFiniteError


@pytest.mark.parametrize("tokens", [1, 3])
def test_a_probe_survives_pickling_and_reads_what_it_was_fitted_to(
    tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_STEPS", 200)
    generator = torch.Generator().manual_seed(0)
    positions = torch.rand(300, 3, generator=generator)
    latents = (positions @ torch.randn(3, tokens * 6, generator=generator)).unflatten(1, (-1, 6))
    read = fit_probe(latents, positions, torch.arange(200))
    found = pickle.loads(pickle.dumps(read))(latents[200:].view(4, 25, tokens, 6))
    assert torch.equal(found, read(latents[200:]).view(4, 25, 3))
    assert (found - positions[200:].view(4, 25, 3)).norm(dim=-1).mean() < 0.05


def test_codes_that_are_not_finite_are_an_error_that_says_so() -> None:
    latents = torch.full((20, 1, 6), torch.nan)
    with pytest.raises(NotFiniteError, match="the probe of positions stopped at step 1"):
        fit_probe(latents, torch.rand(20, 3), torch.arange(20))
