"""What is not finite is told by its name, and does not make training wait for the device."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from worldmodel.finite import LossGuard, NotFiniteError, not_finite

NAN, INF = torch.tensor(torch.nan), torch.tensor(torch.inf)


def test_the_first_bad_step_is_told_however_late_the_device_is_asked() -> None:
    guard, fine = LossGuard("Training", 0.1, every=4), torch.tensor(1.0)
    guard.see(1, {"a": fine, "b": fine})
    guard.see(2, {"a": fine, "b": INF})
    guard.see(3, {"a": NAN, "b": NAN})
    with pytest.raises(NotFiniteError, match=r"stopped at step 2: .* got b = inf. .*now 0.1"):
        guard.see(4, {"a": NAN, "b": fine})


def test_what_was_seen_is_checked_before_anything_is_written() -> None:
    guard = LossGuard("Training", 0.1, every=100)
    guard.see(1, {"a": NAN})
    with pytest.raises(NotFiniteError, match="stopped at step 1"):
        guard.check()
    with pytest.raises(NotFiniteError, match="stopped at step 1"):
        guard.require(2, {"other": torch.tensor(0.0)})


def test_the_device_is_waited_for_once_in_so_many_steps(
    count_waits: Callable[[], TorchDispatchMode],
) -> None:
    guard, loss = LossGuard("Training", 0.1, every=5), torch.tensor(1.0)
    with count_waits() as counter:
        for step in range(1, 21):
            guard.see(step, {"a": loss, "b": loss})
    assert counter.count == 4


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_tensors_are_found_in_containers_by_dotted_names(number: float) -> None:
    bad = torch.tensor([1.0, number])
    content = {"step": 3, "model": {"a": torch.ones(2), "b": bad}, "rest": [torch.ones(1), (bad,)]}
    assert not_finite(content) == ["model.b", "rest.1.0"]
    assert not_finite({"counts": torch.tensor([1, 2]), "none": None}) == []


def test_the_ends_of_a_range_may_be_infinite_and_never_nan() -> None:
    assert not_finite({"features.lowest": -INF, "features.highest": INF}) == []
    assert not_finite({"features.lowest": NAN}) == ["features.lowest"]
