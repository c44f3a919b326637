"""The device that something runs on."""

from __future__ import annotations

import platform
from pathlib import Path

import torch
from torch import nn

from worldmodel.errors import UserError
from worldmodel.precision import has_bfloat16
from worldmodel.predictors.token_world import TokenWorld

__all__ = [
    "PRECISIONS",
    "device_name",
    "known_precision",
    "precision",
    "require_compiler",
    "usable_device",
]

PRECISIONS = {
    "auto": None,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def usable_device(name: str) -> torch.device:
    """The device of that name, such as ``cpu`` or ``cuda``; ``auto`` is a GPU where there is one.

    Raises:
        UserError: Nothing can be computed on it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"device={name} cannot be used here; try device=cpu, or a torch built for it"
        ) from error
    return device


def precision(name: str, world: nn.Module) -> torch.dtype:
    """What to imagine in: a name of `PRECISIONS`.

    ``auto`` is bfloat16 for a world of patch tokens on a GPU that has it. Vector worlds are too
    small to gain by it there; on a CPU they do, and may solve fewer tasks for it, which is for the
    user to choose (docs/planners.md).
    """
    if (known := PRECISIONS[name]) is not None:
        return known
    device = next(world.parameters()).device
    half = device.type == "cuda" and has_bfloat16(device) and isinstance(world, TokenWorld)
    return torch.bfloat16 if half else torch.float32


def require_compiler() -> None:
    """Raise a UserError where ``torch.compile`` finds no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # takes a second

    try:
        get_cpp_compiler()
    except Exception as error:
        raise UserError(
            "compile=true needs a C++ compiler, and torch found none; install g++, name another in "
            "CXX, or plan without"
        ) from error


def known_precision(name: str) -> None:
    """Raise a ValueError where there is no such precision."""
    if name not in PRECISIONS:
        raise ValueError(f"Expected dtype to be one of {', '.join(PRECISIONS)}, got '{name}'")


def device_name(device: torch.device) -> str:
    """What its maker calls it; of a CPU with the threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {torch.get_num_threads()} threads"
