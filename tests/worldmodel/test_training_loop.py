"""What the optimiser's loop does at every step, whatever it trains."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from worldmodel.finite import NotFiniteError
from worldmodel.schedule import rising_cosine
from worldmodel.training_loop import TrainingLoop


def made(
    weight: nn.Parameter,
    losses: Callable[[], dict[str, Tensor]],
    steps: int,
    learning_rate: float = 0.1,
    parts: int = 1,
) -> TrainingLoop:
    return TrainingLoop(
        "A run",
        torch.optim.AdamW([weight]),
        lambda _: losses(),
        steps,
        learning_rate,
        lambda step: rising_cosine(step, steps),
        parts=parts,
        clip=1.0,
    )


def optimised(batches: list[list[float]]) -> tuple[Tensor, dict[str, float]]:
    """A weight drawn to the numbers of batches in turn, each number a part of its batch."""
    weight = nn.Parameter(torch.zeros(()))
    numbers = itertools.cycle(itertools.chain(*batches))
    loop = made(
        weight, lambda: {"error": (weight - next(numbers)).square()}, 20, parts=len(batches[0])
    )
    assert [*loop] == [*range(1, 21)]
    return weight.detach(), loop.figures()


def test_a_batch_in_parts_teaches_what_the_whole_does() -> None:
    # The gradient of a mean of squares is that of the square of the distance to the mean.
    parts, figures = optimised([[1.0, 3.0], [0.0, -4.0]])
    whole, of_whole = optimised([[2.0], [-2.0]])
    torch.testing.assert_close(parts, whole)
    assert whole != 0
    # A mean over parts: of their squares, it exceeds the square of the mean by the variance.
    assert figures["error"] == pytest.approx(of_whole["error"] + 4.0, abs=1e-4)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("bad", [1, 7, 20])
def test_it_stops_at_the_first_loss_that_is_not_finite_with_the_weights_before_it(
    bad: int, parts: int
) -> None:
    weight, asked = nn.Parameter(torch.ones(())), itertools.count()
    before = list[float]()

    def losses() -> dict[str, Tensor]:
        before.append(float(weight.detach()))
        broken = next(asked) == parts * (bad - 1)  # in the first part of that step
        return {"kept": weight.square(), "broken": weight * (torch.inf if broken else 1.0)}

    with pytest.raises(NotFiniteError, match=f"A run stopped at step {bad}: .*broken = "):
        list(made(weight, losses, 20, parts=parts))
    assert float(weight.detach()) == before[-1]


def test_a_gradient_that_is_not_finite_is_named() -> None:
    weight = nn.Parameter(torch.zeros(()))  # where the square root has no gradient
    with pytest.raises(NotFiniteError, match=r"at step 1: .* got norm of the gradient = inf"):
        list(made(weight, lambda: {"root": weight.sqrt()}, 2))


def test_a_last_step_that_spoils_the_model_is_noticed() -> None:
    weight = nn.Parameter(torch.ones(()))
    loop = made(weight, lambda: {"square": weight.square()}, 1, 1e30)
    assert list(loop) == [1]
    with pytest.raises(NotFiniteError, match=r"stopped at step 1: .* got square = inf"):
        loop.require_finite()


def test_that_look_beyond_the_last_step_changes_no_stream_of_random_numbers() -> None:
    stream = torch.Generator().manual_seed(0)
    weight, own, common = nn.Parameter(torch.ones(())), list[float](), list[float]()

    def losses() -> dict[str, Tensor]:
        own.append(float(torch.rand(1, generator=stream)))
        common.append(float(torch.rand(1)))
        return {"square": weight.square()}

    loop = made(weight, losses, 2)
    list(loop)
    loop.require_finite(stream)
    assert [float(torch.rand(1, generator=stream)), float(torch.rand(1))] == [own[2], common[2]]
