"""Checkpoint folders: ``config.json`` (versioned) beside ``model.safetensors``.

Nothing in a checkpoint is ever executed: tensors come from safetensors, and the kind of model is a
name that the caller expects, not a class to import.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from worldmodel.data.atomic import replacing
from worldmodel.errors import UserError
from worldmodel.finite import NotFiniteError, not_finite, remedy

__all__ = [
    "FORMAT_VERSION",
    "checkpoint_kind",
    "checkpoint_record",
    "checkpoint_sha256",
    "load_checkpoint",
    "load_into",
    "remove_checkpoint",
    "save_checkpoint",
    "write_tensors",
]

FORMAT_VERSION = 1

_CONFIG = "config.json"
_TENSORS = "model.safetensors"


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
            f"Expected finite weights for {folder}, got NaN or infinities in {_some(wrong)}; "
            f"nothing is written. {remedy()}."
        )
    content = {"format_version": FORMAT_VERSION, "kind": kind, **config}
    plain = _apart({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    try:
        with replacing(folder / _CONFIG) as settings:
            settings.write_text(json.dumps(content, indent=4, ensure_ascii=False), "utf-8")
            with replacing(folder / _TENSORS, _size(plain)) as partial:
                _write(partial, plain)
                # Both are written, so no full disk takes the old checkpoint away. The config is
                # what makes a folder a checkpoint: an old one goes before its tensors.
                (folder / _CONFIG).unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"Cannot write a checkpoint to {folder} ({error}). Make room there, or choose another."
        ) from error


def remove_checkpoint(folder: str | os.PathLike[str]) -> None:
    """Take a checkpoint back; what else is in the folder stays."""
    for name in (_CONFIG, _TENSORS):  # the first is what makes a folder a checkpoint
        (Path(folder) / name).unlink(missing_ok=True)


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, none of them in another's memory, which safetensors would not write."""
    taken: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.data_ptr()
        tensors[name] = tensor.clone() if place in taken else tensor
        taken.add(place)
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor], **metadata: str) -> None:
    """Write safetensors straight from memory, under a temporary name at first."""
    with replacing(path, _size(tensors)) as partial:
        _write(partial, tensors, **metadata)


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def _write(path: Path, tensors: Mapping[str, Tensor], **metadata: str) -> None:
    # safetensors would make the file readable for its owner only, whatever others are.
    path.unlink(missing_ok=True)
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path, metadata=metadata or None)
    path.chmod(mode)


def load_checkpoint(
    folder: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and tensors of a checkpoint.

    Raises:
        UserError: The folder is missing, of another kind or version, or damaged.
    """
    folder = Path(folder)
    found, config = _settings(folder)
    if found != kind:
        raise UserError(f"{folder} holds a checkpoint of kind '{found}', expected '{kind}'.")
    try:
        tensors = load_file(folder / _TENSORS)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{folder / _TENSORS} is damaged or truncated ({error}). "
            "Train again, or copy the checkpoint anew."
        ) from error
    return config, tensors


def checkpoint_kind(folder: str | os.PathLike[str]) -> str:
    """What a checkpoint is, as it was saved.

    Raises:
        UserError: The folder is missing, of another version, or damaged.
    """
    return _settings(Path(folder))[0]


def checkpoint_record(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What was written down of how a checkpoint came about; empty if nothing was.

    Raises:
        UserError: As `checkpoint_kind`.
    """
    record = _settings(Path(folder))[1].get("record")
    return dict(record) if isinstance(record, dict) else {}


def _settings(folder: Path) -> tuple[str, dict[str, Any]]:
    for name in (_CONFIG, _TENSORS):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} is not a checkpoint: it has no {name}. "
                "Give the folder that a training command wrote."
            )
    try:
        config = json.loads((folder / _CONFIG).read_text())
        version, found = config.pop("format_version"), config.pop("kind")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(
            f"{folder / _CONFIG} is damaged ({error}). Train again, or copy the checkpoint anew."
        ) from error
    if version != FORMAT_VERSION:
        raise UserError(
            f"{folder} has checkpoint format {version}, this version reads {FORMAT_VERSION}. "
            "Use the version of the toolkit that wrote it, or train again."
        )
    return found, config


def load_into(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    source: str = "The weights",
    assign: bool = False,
    allow_missing: Iterable[str] = (),
    allow_unexpected: Iterable[str] = (),
) -> None:
    """Copy tensors into a module; every key must fit unless told which may not.

    Args:
        module: Receives the tensors.
        tensors: By parameter and buffer name.
        source: What to call them in errors.
        assign: Put the tensors themselves in place instead of copying them: a module built on the
            ``meta`` device, which has no memory of its own, is complete afterwards.
        allow_missing: Keys that the tensors need not hold; one that ends with a dot stands for all
            that begin with it.
        allow_unexpected: Keys that the module need not have, likewise.

    Raises:
        UserError: Lists missing keys, unexpected keys and wrong shapes.
    """
    own = module.state_dict()
    missing = [k for k in own if k not in tensors and not _is_among(k, allow_missing)]
    unexpected = [k for k in tensors if k not in own and not _is_among(k, allow_unexpected)]
    wrong = [
        f"{k} (expected {list(own[k].shape)}, got {list(tensors[k].shape)})"
        for k in own
        if k in tensors and own[k].shape != tensors[k].shape
    ]
    problems = [
        f"{title}: {_some(keys)}"
        for title, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("wrong shape", wrong),
        )
        if keys
    ]
    if problems:
        raise UserError(
            f"{source} do not fit {type(module).__name__}: {'; '.join(problems)}. "
            "The checkpoint belongs to a model of another kind or size."
        )
    fitting = {k: v for k, v in tensors.items() if k in own}
    module.load_state_dict(fitting, strict=False, assign=assign)


def _is_among(key: str, names: Iterable[str]) -> bool:
    return any(key.startswith(name) if name.endswith(".") else key == name for name in names)


def checkpoint_sha256(folder: str | os.PathLike[str]) -> str:
    """Digest over both files of a checkpoint."""
    digest = hashlib.sha256()
    for name in (_CONFIG, _TENSORS):
        with (Path(folder) / name).open("rb") as file:
            while chunk := file.read(1 << 20):  # a large model need not fit into memory again
                digest.update(chunk)
    return digest.hexdigest()


def _some(keys: list[str], shown: int = 5) -> str:
    rest = len(keys) - shown
    return ", ".join(keys[:shown]) + (f" and {rest} more" if rest > 0 else "")
