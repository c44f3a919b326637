"""What the optimiser's loop of every stage does."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from worldmodel.dynamics.code import CodeTraining
from worldmodel.dynamics.stage import Workbench
from worldmodel.training_log import TrainingLog


def optimised(folder: Path, batches: list[list[float]]) -> Tensor:
    """A weight drawn to the numbers of batches in turn, each number a part of its batch."""
    model: Any = SimpleNamespace(state_features=lambda _: None, scale_actions=lambda _: None)
    data: Any = SimpleNamespace(states=None, actions=None)
    weight = nn.Parameter(torch.zeros(()))
    numbers = itertools.cycle(itertools.chain(*batches))
    with TrainingLog(folder, "train", total=20, start=0) as log:
        bench = Workbench(model, data, torch.Generator(), log)
        bench.optimise(
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
        CodeTraining(parts=3)
