"""Meta's checkpoints of V-JEPA 2, 2.1 and 2-AC: one ``.pt`` with several sets of weights in it.

Nothing in such a file is executed, and only what is asked for is read: its tensors are views of the
file, which the operating system loads when they are used. What is asked for is compared with the
checksums that the file holds.
"""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from worldmodel.errors import UserError
from worldmodel.weights.tensor_file import check_finite, first_line

__all__ = ["ENCODER_WEIGHTS", "holds", "read_pt"]

ENCODER_WEIGHTS = ("encoder", "target_encoder", "ema_encoder")
"""Sets of encoder weights: the trained one, and its moving average under either name."""

_PREFIXES = ("module.", "backbone.")  # of distributed training, and of its mask wrapper
_REMEDY = "Download it again."
_PICKLED = 64 * 2**20
"""Bytes of all that is no tensor, at most: names and numbers of a training state take a tenth."""

_Records = frozenset[tuple[int, int]]
"""Size and checksum of all that a file holds; empty where it was written without checksums."""


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
        have = ", ".join(str(name) for name, value in content.items() if isinstance(value, Mapping))
        raise UserError(f"{path}: expected '{part}', found {have[:200] or 'no weights'}.")
    weights = content[part]
    if not isinstance(weights, Mapping) or not weights:
        raise UserError(f"{path}: expected tensors by name in '{part}', got {_kind(weights)}.")
    found: dict[str, Tensor] = {}
    intact: set[int] = set()
    for name, tensor in weights.items():
        _check_dense(path, str(name), tensor)
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in intact and not _is_among(records, storage):
            raise UserError(f"{path} is damaged: {name} has not its checksum. {_REMEDY}")
        intact.add(storage.data_ptr())  # which many tensors may share
        if (bare := _bare(str(name))) in found:
            raise UserError(f"{path}: expected one tensor for '{bare}', got another: {name}")
        found[bare] = tensor.float()
        check_finite({str(name): found[bare]}, str(path), _REMEDY)
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


def _is_among(records: _Records, storage: torch.UntypedStorage) -> bool:
    if not records or not storage.nbytes():
        return True
    numbers = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
    return (storage.nbytes(), zlib.crc32(numbers.data)) in records


def holds(path: str | os.PathLike[str], part: str, key: str) -> bool:
    """Whether a file has such a part, and a tensor of this name in it.

    Raises:
        UserError: The file cannot be read at all.
    """
    weights = _unpickled(Path(path))[0].get(part)
    return isinstance(weights, Mapping) and any(_bare(str(name)) == key for name in weights)


def _unpickled(path: Path) -> tuple[Mapping[str, Any], _Records]:
    if not path.is_file():
        raise UserError(f"{path} does not exist. Give a .pt file, or a folder with a config.json.")
    try:
        records = _records(path)
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


def _records(path: Path) -> _Records:
    """Read the directory of the file, which is a zip archive, and all in it that is no tensor.

    Raises:
        ValueError: A record is compressed, which takes more memory than the file, or too large.
        BadZipFile: It is no such archive, or what was read has not its checksum.
    """
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        checked = any(info.CRC for info in infos)  # torch.save may be told to write zeros
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{info.filename} is compressed")
            if "/data/" not in info.filename:
                if info.file_size > _PICKLED:
                    raise ValueError(f"{info.filename} takes {info.file_size} bytes")
                if checked:
                    archive.read(info)
    return frozenset((info.file_size, info.CRC) for info in infos if checked)


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
