"""Which device computes, and with what."""

from __future__ import annotations

import torch

from worldmodel.errors import UserError

__all__ = ["has_bfloat16", "named_device"]


def has_bfloat16(device: torch.device) -> bool:
    """Whether its matrix products in bfloat16 are any faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.11
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def named_device(name: str) -> torch.device:
    """The device of ``cpu``, ``cuda`` or ``auto``, which is a GPU if there is one.

    Raises:
        UserError: It is none of these, or there is no GPU.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"Expected device to be auto, cpu or cuda, got '{name}'.")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("Expected a CUDA device, found none. Use device=cpu.")
    return torch.device("cuda" if name != "cpu" and available else "cpu")
