"""The device that something runs on."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import nn

from worldmodel.errors import UserError
from worldmodel.precision import has_bfloat16
from worldmodel.predictors.token_world import TokenWorld

__all__ = ["device_name", "products_of", "usable_device"]


def usable_device(name: str) -> torch.device:
    """The device of that name, such as ``cpu`` or ``cuda``; ``auto`` is a GPU where there is one.

    Raises:
        UserError: Nothing can be computed on it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device={name} cannot be used here; try device=cpu, or a torch built for it"
        ) from error
    return device


def products_of(world: nn.Module, device: torch.device) -> AbstractContextManager[object]:
    """The context to imagine in: a token world's matrix products in bfloat16 on a GPU that has it.

    Compact worlds are too small to gain by it, and a CPU's latents are the same on every CPU.
    """
    fast = device.type == "cuda" and has_bfloat16(device) and isinstance(world, TokenWorld)
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def device_name(device: torch.device) -> str:
    """What its maker calls it; of a CPU with the threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {torch.get_num_threads()} threads"
