"""What a device computes with."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

__all__ = ["has_bfloat16", "keep_weights_in"]


def has_bfloat16(device: torch.device) -> bool:
    """Whether its matrix products in bfloat16 are any faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.11
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def keep_weights_in(dtype: torch.dtype, networks: Iterable[nn.Module]) -> None:
    """Convert the weights of networks in place, and none of their buffers, which are statistics."""
    for network in networks:
        for parameter in network.parameters():
            parameter.data = parameter.data.to(dtype)
