"""Meta's checkpoints of V-JEPA 2, 2.1 and 2-AC: one ``.pt`` with several sets of weights in it.

Nothing in such a file is executed, and only what is asked for is read: its tensors are views of the
file, which the operating system loads when they are used. What is asked for is compared with the
checksums that the file holds. Files of other projects with one set of weights are read likewise.
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
from worldmodel.weights.archive import Records, is_among, read_records
from worldmodel.weights.tensor_file import check_finite, first_line, some

__all__ = ["ENCODER_WEIGHTS", "holds", "holds_flat", "read_pt", "read_state_dict"]

ENCODER_WEIGHTS = ("encoder", "target_encoder", "ema_encoder")
"""Sets of encoder weights: the trained one, and its moving average under either name."""

_PREFIXES = ("model.", "module.", "backbone.")  # of Lightning, distributed training, mask wrapper
_REMEDY = "Download it again."


def read_pt(path: str | os.PathLike[str], part: str) -> dict[str, Tensor]:
    """One set of weights, by parameter name.

    Args:
        path: The file.
        part: ``encoder``, ``target_encoder``, ``ema_encoder`` or ``predictor``.

    Returns:
        Float32 tensors, mapped from the file if it holds such; names without Meta's prefixes.

    Raises:
        UserError: The file is missing, truncated or damaged, holds other than tensors and plain
            values, has no such part, or numbers in it are not finite.
    """
    path = Path(path)
    content, records = _unpickled(path)
    if part not in content:
        have = some([str(name) for name, value in content.items() if isinstance(value, Mapping)])
        raise UserError(f"{path}: expected '{part}', found {have or 'no weights'}.")
    return _checked(path, content[part], records, part)


def read_state_dict(path: str | os.PathLike[str], ignored: str = "") -> dict[str, Tensor]:
    """The weights of a file that holds one set of them, itself or under ``state_dict``.

    Args:
        path: The file.
        ignored: How names end whose tensors are left out, such as counters, which no model reads.

    Raises:
        UserError: As `read_pt`.
    """
    path = Path(path)
    content, records = _unpickled(path)
    weights = content.get("state_dict", content)
    if ignored and isinstance(weights, Mapping):
        weights = {k: v for k, v in weights.items() if not str(k).endswith(ignored)}
    return _checked(path, weights, records, "state_dict")


def _checked(path: Path, weights: object, records: Records, part: str) -> dict[str, Tensor]:
    """Float32 tensors by bare name, each of which is intact."""
    if not isinstance(weights, Mapping) or not weights:
        raise UserError(f"{path}: expected tensors by name in '{part}', got {_kind(weights)}.")
    found: dict[str, Tensor] = {}
    intact: set[int] = set()
    for key, tensor in weights.items():
        name, bare = some([str(key)]), _bare(str(key))
        _check_dense(path, name, tensor)
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in intact and not is_among(records, storage):
            raise UserError(f"{path} is damaged: {name} has not its checksum. {_REMEDY}")
        intact.add(storage.data_ptr())  # which many tensors may share
        if bare in found:
            raise UserError(f"{path}: expected one tensor for '{bare}', got another: {name}")
        found[bare] = tensor.float()
        check_finite({name: found[bare]}, str(path), _REMEDY)
    return found


def _check_dense(path: Path, name: str, tensor: object) -> None:
    """Raise a UserError for anything but a dense tensor whose every number is in the file."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        raise UserError(f"{path}: expected floating-point numbers, got {_kind(tensor)}: {name}")
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        kind = tensor.layout if tensor.device.type == "cpu" else f"one on {tensor.device}"
        raise UserError(f"{path}: expected dense tensors, got {kind}: {name}")
    if tensor.numel() * tensor.element_size() > (given := tensor.untyped_storage().nbytes()):
        raise UserError(
            f"{path}: expected numbers for a tensor of {list(tensor.shape)}, got {given} bytes of "
            f"them: {name}"
        )


def holds(path: str | os.PathLike[str], part: str, key: str) -> bool:
    """Whether a file has such a part, and a tensor of this name in it.

    Raises:
        UserError: The file cannot be read at all.
    """
    weights = _unpickled(Path(path))[0].get(part)
    return isinstance(weights, Mapping) and any(_bare(str(name)) == key for name in weights)


def holds_flat(path: str | os.PathLike[str], key: str) -> bool:
    """Whether a file holds one set of weights, and a tensor of this name in it.

    Raises:
        UserError: The file cannot be read at all.
    """
    content = _unpickled(Path(path))[0]
    weights = content.get("state_dict", content)
    return isinstance(weights, Mapping) and any(_bare(str(name)) == key for name in weights)


def _unpickled(path: Path) -> tuple[Mapping[str, Any], Records]:
    if not path.is_file():
        raise UserError(f"{path} does not exist. Give a .pt file, or a folder with a config.json.")
    try:
        records = read_records(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors and plain values, and nothing else is ever loaded "
            f"({_reason(error)})."
        ) from error
    except Exception as error:  # whatever damaged bytes make the libraries raise
        raise UserError(
            f"{path} is damaged or truncated, or no PyTorch checkpoint of 2020 or later "
            f"({_reason(error)}). {_REMEDY}"
        ) from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: expected weights by name, got {_kind(content)}.")
    return content, records


def _bare(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _kind(value: object) -> str:
    return f"{value.dtype} tensor" if isinstance(value, Tensor) else type(value).__name__


def _reason(error: Exception) -> str:
    """The first sentence: what follows in PyTorch's messages advises to trust the file."""
    named = ("WeightsUnpickler error", "Trying to load unsupported GLOBAL")
    lines = (line.strip() for line in str(error).splitlines())
    told = next((line for line in lines if line.startswith(named)), first_line(error))
    return told.split(". ")[0].rstrip(".")
