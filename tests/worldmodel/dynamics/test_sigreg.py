"""SIGReg is small for Gaussian latents only."""

from __future__ import annotations

import torch

from worldmodel.dynamics.sigreg import sigreg


def _score(latents: torch.Tensor) -> float:
    return float(sigreg(latents, torch.Generator().manual_seed(0)))


def test_a_gaussian_is_the_minimum_among_scaled_shifted_and_collapsed_samples() -> None:
    gaussian = torch.randn(4096, 8, generator=torch.Generator().manual_seed(1))
    collapsed = gaussian.clone()
    collapsed[:, 4:] = collapsed[:, :4]
    assert _score(gaussian) < 1e-2
    for other in (
        0.3 * gaussian,
        2 * gaussian,
        gaussian + 1,
        collapsed,
        torch.zeros_like(gaussian),
    ):
        assert _score(other) > 4 * _score(gaussian)


def test_its_gradient_spreads_a_collapsed_sample() -> None:
    latents = (
        0.05 * torch.randn(512, 4, generator=torch.Generator().manual_seed(2))
    ).requires_grad_()
    for step in range(100):
        loss = sigreg(latents, torch.Generator().manual_seed(step))
        (gradient,) = torch.autograd.grad(loss, latents)
        with torch.no_grad():
            latents -= 300 * gradient
    assert 0.7 < float(latents.detach().std(0).mean()) < 1.3
