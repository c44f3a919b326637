"""A checkpoint's ``config.json``: version, kind, settings, and digests that guard them.

Heads or a rotary layout change what a model computes and leave every shape as it is. So
``config.json`` holds a digest of its own settings, and one of the tensors beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from worldmodel.errors import UserError
from worldmodel.files.json_file import read_json
from worldmodel.settings import read_settings
from worldmodel.weights.older_formats import todays_settings, todays_tensors

__all__ = ["CONFIG", "FORMAT_VERSION", "REMEDY", "StoredConfig", "content", "read_config"]

CONFIG = "config.json"
FORMAT_VERSION = 7
REMEDY = "Copy the checkpoint anew, or train or import it again."

_DIGESTS = "sha256"
_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class StoredConfig:
    """What a ``config.json`` holds.

    Attributes:
        file: Its path.
        kind: Of the checkpoint.
        settings: All the rest but version and digests.
        tensors: Digest of the tensors' file; None in format 1, which had none.
        version: Of the format.
    """

    file: Path
    kind: str
    settings: dict[str, Any]
    tensors: str | None
    version: int = FORMAT_VERSION

    def read(self, kind: type[_Settings], name: str) -> _Settings:
        """A configuration by its name in the file; see `read_settings`."""
        return read_settings(kind, self.settings.get(name), f"{self.file} {name}")

    def named(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of its file by today's names; those kept in float16 become float32."""
        found = todays_tensors(self.version, self.kind, self.settings, tensors)
        return {name: t.float() if t.dtype == torch.float16 else t for name, t in found.items()}


def content(kind: str, settings: Mapping[str, Any], tensors: str) -> dict[str, Any]:
    """What to write: settings with their digest, and that of the tensors' file."""
    written = {"format_version": FORMAT_VERSION, "kind": kind, **settings}
    return {**written, _DIGESTS: {"config": _digest(written), "tensors": tensors}}


def read_config(file: Path) -> StoredConfig:
    """Read a ``config.json``.

    Raises:
        UserError: It is of another version, damaged, or not as it was saved.
    """
    stored = read_json(file, REMEDY, unmeasured=("record",))
    digests = stored.pop(_DIGESTS, None)
    version, kind = stored.get("format_version"), stored.get("kind")
    for name, value, of in (("format_version", version, int), ("kind", kind, str)):
        if type(value) is not of:  # True is a whole number, too
            raise UserError(f"{file} is damaged (expected {name}, got {value!r:.60}). {REMEDY}")
    if version not in range(1, FORMAT_VERSION + 1):
        raise UserError(
            f"{file.parent} has checkpoint format {version!s:.20}, this version reads 1 to "
            f"{FORMAT_VERSION}. Use the version of the toolkit that wrote it, or train again."
        )
    assert isinstance(version, int)
    tensors = None
    if version > 1 or digests is not None:  # which the first format has not
        tensors = _verified(file, stored, digests)
    del stored["format_version"], stored["kind"]
    kind, stored = todays_settings(version, str(kind), stored, str(file))
    return StoredConfig(file, kind, stored, tensors, version)


def _verified(file: Path, stored: Mapping[str, Any], digests: object) -> str:
    """The tensors' digest; a UserError where the settings are not those of theirs."""
    found = digests if isinstance(digests, dict) else {}
    if found.get("config") != _digest(stored):
        raise UserError(
            f"{file} was changed or damaged after it was saved, and with other settings these "
            f"weights compute something else. {REMEDY}"
        )
    return str(found.get("tensors"))


def _digest(settings: Mapping[str, Any]) -> str:
    # There and back, because tuples and numbers as keys are stored as something else.
    canonical = json.dumps(json.loads(json.dumps(settings)), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
