"""Whether a model can be trained in the memory there is, found out before any is taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from worldmodel.errors import UserError

__all__ = ["require_memory"]

_COPIES = 4
"""Of every weight in training: itself, its gradient and two moments of AdamW."""
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files that tell what a container may take."""


def require_memory(build: Callable[[], nn.Module], keys: str, device: torch.device) -> None:
    """Count a model's weights without making them.

    Args:
        build: Makes the model.
        keys: Of its sizes, for errors.
        device: Where it is trained.

    Raises:
        UserError: Its training takes more than all memory of the device.
    """
    with torch.device("meta"):
        model = build()
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    needed, memory = _COPIES * weights, _memory(device)
    if memory is not None and needed > memory:
        raise UserError(
            f"Expected a model that can be trained in {memory / 1e9:.3g} GB, the memory of "
            f"{'this machine' if device.type == 'cpu' else device}, got one whose weights, "
            f"gradients and moments take {needed / 1e9:.3g} GB. Lower {keys}.width or .depth."
        )


def _memory(device: torch.device) -> int | None:
    """All bytes of a device; None where nothing tells."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):
        return None
    for limit in _LIMITS:
        try:
            found.append(int(Path(limit).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(found)
