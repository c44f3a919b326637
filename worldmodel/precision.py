"""What a device computes with."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache

import torch
from torch import nn

__all__ = ["has_bfloat16", "keep_weights_in", "rounded"]

_GAIN = 0.8  # of the time in float32; less is not worth the rounding


@cache
def has_bfloat16(device: torch.device) -> bool:
    """Whether its matrix products in bfloat16 are any faster than in float32.

    Asked of a CPU's clock, once a process: there are processors with the instructions, and without
    the speed.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.11
        return False
    if not torch.cpu.get_capabilities().get("avx512_bf16", False):
        return False
    return _product_seconds(torch.bfloat16) < _GAIN * _product_seconds(torch.float32)


def rounded(device: torch.device, bf16: bool | None) -> torch.autocast:
    """A context of matrix products in bfloat16; with None, where the device is quicker so."""
    wanted = has_bfloat16(device) if bf16 is None else bf16
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def _product_seconds(dtype: torch.dtype) -> float:
    """What a matrix product takes on the CPU, the quickest of some."""
    one, other = torch.ones(2048, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
    best = float("inf")
    for _ in range(6):  # the first warms up
        start = time.perf_counter()
        one @ other
        best = min(best, time.perf_counter() - start)
    return best


def keep_weights_in(dtype: torch.dtype, networks: Iterable[nn.Module]) -> None:
    """Convert the weights of networks in place, and none of their buffers, which are statistics."""
    for network in networks:
        for parameter in network.parameters():
            parameter.data = parameter.data.to(dtype)
