import pytest
import torch

from worldmodel.pretraining.anticollapse import (
    centre,
    covariance_loss,
    effective_rank,
    variance_loss,
)


def normal(samples: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, width, generator=torch.Generator().manual_seed(seed))


def test_isotropic_samples_of_the_wanted_scale_cost_nothing() -> None:
    samples = 2 * normal(20_000, 8)
    assert variance_loss(samples, target=1.0) == 0
    assert float(covariance_loss(samples)) < 0.01


def test_variance_loss_pulls_a_collapsed_feature_apart() -> None:
    samples = normal(64, 4) * torch.tensor([1e-3, 2, 2, 2])
    samples.requires_grad_()
    loss = variance_loss(samples)
    assert loss.item() == pytest.approx(1 / 4, abs=0.01)
    (gradient,) = torch.autograd.grad(loss, samples)
    assert (gradient[:, 0] * samples[:, 0] <= 0).all()
    assert (gradient[:, 1:] == 0).all()


def test_covariance_loss_sees_copies_of_a_feature() -> None:
    feature = normal(5000, 1)
    copies = covariance_loss(feature.expand(-1, 4))
    assert float(copies) == pytest.approx(3, rel=0.1)  # 12 ones, divided by 4


def test_a_code_of_position_alone_is_no_variance() -> None:
    latents = normal(16, 32).expand(10, 16, 32)
    assert float(variance_loss(centre(latents))) > 0.98


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_effective_rank_counts_equal_directions(rank: int) -> None:
    basis = torch.linalg.qr(normal(16, 16)).Q[:rank]
    samples = normal(20_000, rank, seed=1) @ basis
    assert effective_rank(samples) == pytest.approx(rank, rel=0.02)
