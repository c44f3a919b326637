"""Checkpoint folders: ``config.json`` (versioned) beside ``model.safetensors``.

Nothing in a checkpoint is ever executed: tensors come from safetensors, and the kind of model is a
name that the caller expects, not a class to import.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from worldmodel.errors import UserError
from worldmodel.files.atomic import as_json, replacing
from worldmodel.files.checksums import sha256
from worldmodel.files.disk import needing_room
from worldmodel.finite import NotFiniteError, not_finite, remedy
from worldmodel.settings import described
from worldmodel.weights.config_file import (
    CONFIG,
    FORMAT_VERSION,
    REMEDY,
    StoredConfig,
    content,
    read_config,
)
from worldmodel.weights.fit import check_fit, load_into
from worldmodel.weights.tensor_file import (
    check_finite,
    mapped,
    size,
    some,
    write_safetensors,
)

__all__ = [
    "FORMAT_VERSION",
    "checkpoint_kind",
    "checkpoint_record",
    "checkpoint_sha256",
    "load_checkpoint",
    "load_into",
    "load_model",
    "remove_checkpoint",
    "save_checkpoint",
    "stored_config",
]

_TENSORS = "model.safetensors"
_Module = TypeVar("_Module", bound=nn.Module)


def save_checkpoint(
    folder: str | os.PathLike[str],
    kind: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint; a kill leaves the old one, the new one or none, never a mixture.

    Args:
        folder: Created if need be.
        kind: What the checkpoint is, for instance ``"encoder"``.
        config: JSON-serialisable settings.
        tensors: Weights and statistics.

    Raises:
        NotFiniteError: Some tensor is not finite; an old checkpoint stays.
        UserError: The folder cannot be written, or the disk is full; an old checkpoint stays.
    """
    folder = Path(folder)
    if wrong := not_finite(tensors):
        raise NotFiniteError(
            f"Expected finite weights for {folder}, got NaN or infinities in {some(wrong)}; "
            f"nothing is written. {remedy()}."
        )
    plain = _apart({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    try:
        with (
            replacing(folder / CONFIG) as settings,
            replacing(folder / _TENSORS, size(plain)) as partial,
        ):
            write_safetensors(partial, plain)
            with needing_room(folder / CONFIG):
                settings.write_text(as_json(content(kind, config, sha256(partial))), "utf-8")
            # Both are written, so no full disk takes the old checkpoint away. The config is
            # what makes a folder a checkpoint: an old one goes before its tensors.
            (folder / CONFIG).unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"Cannot write a checkpoint to {folder} ({error}). Make room there, or choose another."
        ) from error


def remove_checkpoint(folder: str | os.PathLike[str]) -> None:
    """Take a checkpoint back; what else is in the folder stays."""
    for name in (CONFIG, _TENSORS):  # the first is what makes a folder a checkpoint
        (Path(folder) / name).unlink(missing_ok=True)


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, none of them in another's memory, which safetensors would not write."""
    taken: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.data_ptr()
        tensors[name] = tensor.clone() if place in taken else tensor
        taken.add(place)
    return tensors


def load_model(
    folder: str | os.PathLike[str],
    kind: str,
    build: Callable[[StoredConfig], _Module],
    *,
    assign: bool = True,
) -> _Module:
    """A model as it was saved.

    Nothing of its size is allocated before the tensors have the names, shapes and types of the
    model that the settings describe.

    Args:
        folder: Of the checkpoint.
        kind: What it has to be.
        build: Makes the model that its config describes.
        assign: Leave the tensors in their file, mapped; otherwise copy them into memory.

    Raises:
        UserError: The folder is missing, of another kind or version, damaged, or was changed.
    """
    folder = Path(folder)
    config = stored_config(folder, kind)
    try:
        with torch.device("meta"):
            model = build(config)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(
            f"{folder}: config.json describes no {kind} ({described(error)}). {REMEDY}"
        ) from error
    tensors = config.named(mapped(folder / _TENSORS, REMEDY))
    check_fit(model, tensors, f"{folder / _TENSORS}: these weights")
    _check_tensors(folder, tensors, config)
    if not assign or _unstored(model):
        model = build(config)  # with memory, and what is not stored
    model.load_state_dict(tensors, assign=assign)
    return model


def _unstored(model: nn.Module) -> bool:
    """Whether it has buffers that no file holds, which only building it fills."""
    return bool({name for name, _ in model.named_buffers()} - {*model.state_dict()})


def load_checkpoint(
    folder: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and tensors of a checkpoint.

    Raises:
        UserError: As `load_model`.
    """
    folder = Path(folder)
    config = stored_config(folder, kind)
    tensors = config.named(mapped(folder / _TENSORS, REMEDY))
    _check_tensors(folder, tensors, config)
    return config.settings, tensors


def _check_tensors(folder: Path, tensors: Mapping[str, Tensor], config: StoredConfig) -> None:
    """Raise a UserError where they are not finite, or not those that were saved."""
    file = folder / _TENSORS
    check_finite(tensors, str(file), REMEDY)
    if config.tensors is not None and sha256(file) != config.tensors:
        raise UserError(f"{file} was changed or damaged after it was saved. {REMEDY}")


def checkpoint_kind(folder: str | os.PathLike[str]) -> str:
    """What a checkpoint is, as it was saved.

    Raises:
        UserError: The folder is missing, of another version, or damaged.
    """
    return stored_config(Path(folder)).kind


def checkpoint_record(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What was written down of how a checkpoint came about; empty if nothing was.

    Raises:
        UserError: As `checkpoint_kind`.
    """
    record = stored_config(Path(folder)).settings.get("record")
    return dict(record) if isinstance(record, dict) else {}


def stored_config(folder: Path, kind: str | None = None) -> StoredConfig:
    """The config of a checkpoint, which has to be of a kind if one is given."""
    for name in (CONFIG, _TENSORS):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} is not a checkpoint: it has no {name}. "
                "Give the folder that a training command wrote."
            )
    config = read_config(folder / CONFIG)
    if kind not in (None, config.kind):
        raise UserError(
            f"{folder} holds a checkpoint of kind '{config.kind:.60}', expected '{kind}'."
        )
    return config


def checkpoint_sha256(folder: str | os.PathLike[str]) -> str:
    """Digest over both files of a checkpoint."""
    digest = hashlib.sha256()
    for name in (CONFIG, _TENSORS):
        with (Path(folder) / name).open("rb") as file:
            while chunk := file.read(1 << 20):  # a large model need not fit into memory again
                digest.update(chunk)
    return digest.hexdigest()
