"""Meta's checkpoints of V-JEPA 2, 2.1 and 2-AC: one ``.pt`` with several sets of weights in it.

Nothing in such a file is executed, and only what is asked for is read: its tensors are views of the
file, which the operating system loads when they are used.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from worldmodel.errors import UserError

__all__ = ["ENCODER_WEIGHTS", "holds", "read_pt"]

ENCODER_WEIGHTS = ("encoder", "target_encoder", "ema_encoder")
"""Sets of encoder weights: the trained one, and its moving average under either name."""

_PREFIXES = ("module.", "backbone.")  # of distributed training, and of its mask wrapper


def read_pt(path: str | os.PathLike[str], part: str) -> dict[str, Tensor]:
    """One set of weights, by parameter name.

    Args:
        path: The file.
        part: ``encoder``, ``target_encoder``, ``ema_encoder`` or ``predictor``.

    Returns:
        Tensors as they are stored, mapped from the file; names without Meta's prefixes.

    Raises:
        UserError: The file is missing, truncated, holds other than tensors and plain values, or
            has no such part.
    """
    content = _unpickled(Path(path))
    if part not in content:
        have = ", ".join(name for name, value in content.items() if isinstance(value, Mapping))
        raise UserError(f"{path}: expected '{part}', found {have or 'no weights'}.")
    weights = content[part]
    if not isinstance(weights, Mapping) or not weights:
        raise UserError(f"{path}: expected tensors by name in '{part}', got {_kind(weights)}.")
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise UserError(f"{path}: expected floating-point numbers, got {_kind(tensor)}: {name}")
        if tensor.layout != torch.strided:
            raise UserError(f"{path}: expected dense tensors, got {tensor.layout}: {name}")
        if (bare := _bare(str(name))) in found:
            raise UserError(f"{path}: expected one tensor for '{bare}', got another: {name}")
        found[bare] = tensor
    return found


def holds(path: str | os.PathLike[str], part: str, key: str) -> bool:
    """Whether a file has such a part, and a tensor of this name in it.

    Raises:
        UserError: The file cannot be read at all.
    """
    weights = _unpickled(Path(path)).get(part)
    return isinstance(weights, Mapping) and any(_bare(str(name)) == key for name in weights)


def _unpickled(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise UserError(f"{path} does not exist. Give a .pt file, or a folder with a config.json.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors and plain values, and nothing else is ever loaded "
            f"({_reason(error)})."
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise UserError(
            f"{path} is truncated, or no PyTorch checkpoint of 2020 or later ({_reason(error)}). "
            "Download it again."
        ) from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: expected weights by name, got {_kind(content)}.")
    return content


def _bare(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _kind(value: object) -> str:
    return f"{value.dtype} tensor" if isinstance(value, Tensor) else type(value).__name__


def _reason(error: Exception) -> str:
    """The first sentence: what follows in PyTorch's messages advises to trust the file."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = ("WeightsUnpickler error", "Trying to load unsupported GLOBAL")
    told = next((line for line in lines if line.startswith(named)), "")
    return (told or next(iter(lines), type(error).__name__)).split(". ")[0].rstrip(".")
