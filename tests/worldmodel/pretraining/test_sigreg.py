import numpy as np
import pytest
import torch

from worldmodel.pretraining.anticollapse import effective_rank
from worldmodel.pretraining.sigreg import epps_pulley, sigreg_loss


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def loss(samples: torch.Tensor, seed: int = 0) -> float:
    return float(sigreg_loss(samples, np.random.default_rng(seed)))


def test_the_statistic_is_the_integral_in_closed_form() -> None:
    """Of two points: the double sum that the integral of exp(itx) comes to."""
    values = torch.tensor([[0.3], [-1.2]], dtype=torch.float64)
    apart = values - values.T
    pairs = (-apart.square() / 2).exp().mean() * (2 * torch.pi) ** 0.5
    each = (-values.square() / 4).exp().mean() * torch.pi**0.5
    own = (2 * torch.pi / 3) ** 0.5
    assert float(epps_pulley(values)) == pytest.approx(
        float(2 * (pairs - 2 * each + own)), rel=1e-3
    )


@pytest.mark.parametrize("samples", [100, 10_000])
def test_normal_samples_cost_about_the_same_however_many(samples: int) -> None:
    assert 0.3 < loss(normal(samples, 8)) < 2


@pytest.mark.parametrize(
    "samples",
    [
        torch.zeros(1000, 8),
        normal(1000, 8) * 0.3,
        normal(1000, 8) + 1,
        normal(1000, 8).sign(),
        normal(1000, 1).expand(-1, 8),
    ],
    ids=["collapsed", "small", "off centre", "not normal", "one feature, copied"],
)
def test_everything_else_costs_more(samples: torch.Tensor) -> None:
    assert loss(samples) > 3 * loss(normal(1000, 8))


def test_sets_of_samples_are_judged_apart() -> None:
    """Two halves that are normal only together are not."""
    left = normal(1000, 2)
    left[:, 0] = left[:, 0].abs()
    right = left * torch.tensor([-1, 1])
    assert loss(torch.stack([left, right])) > 10 * loss(torch.cat([left, right]))


def test_the_generator_decides_the_directions() -> None:
    samples = normal(50, 8).abs()
    assert loss(samples, seed=1) == loss(samples, seed=1) != loss(samples, seed=2)


def test_descent_undoes_a_collapse_to_one_direction() -> None:
    samples = normal(256, 1) @ normal(1, 8) + 0.05 * normal(256, 8)
    rng = np.random.default_rng(0)
    assert effective_rank(samples) < 2
    samples.requires_grad_()
    optimizer = torch.optim.Adam([samples], 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        sigreg_loss(samples, rng, directions=32).backward()
        optimizer.step()
    assert effective_rank(samples.detach()) > 7
