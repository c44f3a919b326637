"""What a device computes with."""

from __future__ import annotations

import torch

__all__ = ["has_bfloat16"]


def has_bfloat16(device: torch.device) -> bool:
    """Whether its matrix products in bfloat16 are any faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.11
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
