"""Half precision is what a device computes faster in, not what it has instructions for."""

from __future__ import annotations

import pytest
import torch

from worldmodel import precision

measured = precision._product_seconds  # which no other test asks, see tests/conftest.py


@pytest.mark.parametrize(("half", "faster"), [(1.0, False), (0.5, True)])
def test_a_cpu_has_bfloat16_if_it_is_the_faster_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, half: float, faster: bool
) -> None:
    able = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    seconds = {torch.bfloat16: half, torch.float32: 1.0}
    monkeypatch.setattr(precision, "_product_seconds", seconds.__getitem__)
    precision.has_bfloat16.cache_clear()
    assert precision.has_bfloat16(torch.device("cpu")) is faster
    precision.has_bfloat16.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_clock_measures_the_quickest_product_of_either_precision(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    taken = [9.0, 3.0, 2.0, 5.0, 4.0, 6.0]
    readings = iter([reading for seconds in taken for reading in (0.0, seconds)])
    monkeypatch.setattr("worldmodel.precision.time.perf_counter", lambda: next(readings))
    assert measured(dtype) == 2.0
