"""What the optimiser's loop of every stage does."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from worldmodel.dynamics.object_latent import ObjectLatentTraining
from worldmodel.dynamics.run import TrainingRun
from worldmodel.finite import NotFiniteError
from worldmodel.training_log import TrainingLog


def made(folder: Path) -> tuple[TrainingRun, TrainingLog]:
    model: Any = SimpleNamespace(state_features=lambda _: None, scale_actions=lambda _: None)
    data: Any = SimpleNamespace(states=None, actions=None)
    log = TrainingLog(folder, "train", total=20, start=0)
    return TrainingRun(model, data, torch.Generator().manual_seed(0), log), log


def optimised(folder: Path, batches: list[list[float]]) -> Tensor:
    """A weight drawn to the numbers of batches in turn, each number a part of its batch."""
    weight = nn.Parameter(torch.zeros(()))
    numbers = itertools.cycle(itertools.chain(*batches))
    run, log = made(folder)
    with log:
        run.optimise(
            "one",
            [weight],
            20,
            0.1,
            lambda: {"error": (weight - next(numbers)).square()},
            parts=len(batches[0]),
        )
    return cast(Tensor, weight.detach())


def test_a_batch_in_parts_teaches_what_the_whole_does(tmp_path: Path) -> None:
    # The gradient of a mean of squares is that of the square of the distance to the mean.
    parts = optimised(tmp_path / "parts", [[1.0, 3.0], [0.0, -4.0]])
    whole = optimised(tmp_path / "whole", [[2.0], [-2.0]])
    torch.testing.assert_close(parts, whole)
    assert whole != 0


def test_parts_divide_the_batch_of_the_code() -> None:
    with pytest.raises(ValueError, match=r"divides into code\.parts=3 parts, got 256"):
        ObjectLatentTraining(parts=3)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("bad", [1, 7, 20])
def test_a_stage_stops_at_the_first_loss_that_is_not_finite_with_the_weights_before_it(
    bad: int, parts: int, tmp_path: Path
) -> None:
    weight, asked = nn.Parameter(torch.ones(())), itertools.count()
    before = list[float]()

    def losses() -> dict[str, Tensor]:
        before.append(float(weight.detach()))
        broken = next(asked) == parts * (bad - 1)  # in the first part of that step
        return {"kept": weight.square(), "broken": weight * (torch.inf if broken else 1.0)}

    run, log = made(tmp_path)
    with log, pytest.raises(NotFiniteError, match=f"stage one stopped at step {bad}: .*broken = "):
        run.optimise("one", [weight], 20, 0.1, losses, parts=parts)
    assert float(weight.detach()) == before[-1]


def test_a_gradient_that_is_not_finite_is_named(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.zeros(()))  # where the square root has no gradient
    run, log = made(tmp_path)
    with log, pytest.raises(NotFiniteError, match=r"at step 1: .* got norm of the gradient = inf"):
        run.optimise("one", [weight], 2, 0.1, lambda: {"root": weight.sqrt()})


def test_a_last_step_that_spoils_the_model_is_noticed(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.ones(()))
    run, log = made(tmp_path)
    with log, pytest.raises(NotFiniteError, match=r"stopped at step 1: .* got square = inf"):
        run.optimise("one", [weight], 1, 1e30, lambda: {"square": weight.square()})


def test_that_look_beyond_the_last_step_changes_no_stream_of_random_numbers(
    tmp_path: Path,
) -> None:
    run, log = made(tmp_path)
    weight, own, common = nn.Parameter(torch.ones(())), list[float](), list[float]()

    def losses() -> dict[str, Tensor]:
        own.append(float(run.uniform(1)))
        common.append(float(torch.rand(1)))
        return {"square": weight.square()}

    with log:
        run.optimise("one", [weight], 2, 0.1, losses)
    assert [float(run.uniform(1)), float(torch.rand(1))] == [own[2], common[2]]
