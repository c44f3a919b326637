"""What a killed training run needs to go on, in one file."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from worldmodel.errors import UserError
from worldmodel.files.atomic import replacing
from worldmodel.files.disk import needing_room
from worldmodel.files.locks import locked
from worldmodel.finite import NotFiniteError, not_finite, remedy

__all__ = ["TrainingState", "sole_run"]

_DIGEST = hashlib.sha256().digest_size


@contextmanager
def sole_run(folder: Path) -> Generator[None]:
    """Runs the block if no other process trains into ``folder``.

    Raises:
        UserError: Another one does, or the folder cannot be written.
    """
    lock = folder / ".lock"
    busy = f"Another process trains into {folder}. Let it end, or give another out."
    with ExitStack() as stack:
        try:
            with needing_room(lock):
                stack.enter_context(locked(lock, busy, wait=False))
        except OSError as error:
            raise UserError(
                f"Cannot write to out={folder} ({error.strerror}); choose another"
            ) from error
        yield


@dataclass(frozen=True)
class TrainingState:
    """``training_state.pt`` in a run's folder, bound to the settings of the run.

    Attributes:
        folder: Of the run; created when need be.
        settings: All that the run's result depends on, JSON-serialisable. Only a run with the same
            settings, tuples and lists being the same, goes on.
    """

    folder: Path
    settings: Mapping[str, Any]

    def save(self, content: Mapping[str, Any]) -> None:
        """Replace what is stored; a kill leaves the old state or the new one.

        Args:
            content: Tensors, numbers, strings and containers of them; not under the name
                ``config``, which holds the settings.

        Raises:
            NotFiniteError: Some tensor is not finite; the old state stays.
            NoRoomError: The disk is full; the old state stays.
        """
        if wrong := not_finite(content):
            raise NotFiniteError(
                f"Training stopped: expected finite weights, got NaN or infinities in "
                f"{', '.join(wrong[:3])}. They are not saved to {self._path}. {remedy()}."
            )
        with replacing(self._path, _size(content)) as partial, partial.open("wb+") as file:
            # To a path, torch would not say why it cannot write.
            torch.save({**content, "config": json.dumps(self.settings)}, file)
            file.seek(0)
            file.write(hashlib.file_digest(file, "sha256").digest())

    def load(self, device: torch.device | str = "cpu") -> dict[str, Any] | None:
        """What was saved last, its tensors on ``device``; None if nothing is stored.

        Raises:
            UserError: The file is damaged, or of a run with other settings.
        """
        if not self._path.exists():
            return None
        try:
            raw = _verified(memoryview(self._path.read_bytes()))
            content: dict[str, Any] = torch.load(raw, map_location=device, weights_only=True)
            stored: dict[str, Any] = json.loads(content.pop("config"))
        except Exception as error:  # damaged bytes raise nearly anything
            raise UserError(
                f"{self._path} is damaged and the run cannot go on. Delete it to start afresh."
            ) from error
        own: dict[str, Any] = json.loads(json.dumps(self.settings))
        changed = sorted(
            changed
            for name in {*own, *stored}
            for changed in _changed(own.get(name), stored.get(name), name)
        )
        if changed:
            raise UserError(
                f"{self.folder} holds a run with other settings ({', '.join(changed)}). "
                f"Give another out, or delete {self._path} to start afresh."
            )
        return content

    def remove(self) -> None:
        """Forget the run: the next one in this folder starts afresh."""
        self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.folder / "training_state.pt"


def _verified(stored: memoryview) -> io.BytesIO:
    """What torch wrote; a ValueError where the digest behind it is another's."""
    written, digest = stored[:-_DIGEST], stored[-_DIGEST:]
    if hashlib.sha256(written).digest() != digest:
        raise ValueError("it has not its digest")
    return io.BytesIO(written)


def _size(content: Any) -> int:
    """Bytes of all tensors."""
    leaves = [leaf for leaf in tree_leaves(content) if isinstance(leaf, torch.Tensor)]
    storages = [tensor.untyped_storage() for tensor in leaves]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _changed(own: Any, stored: Any, name: str) -> list[str]:
    """Names of the settings that differ; ``name.key`` in groups that have the same keys."""
    if isinstance(own, dict) and isinstance(stored, dict) and own.keys() == stored.keys():
        return [found for key in own for found in _changed(own[key], stored[key], f"{name}.{key}")]
    return [] if own == stored else [name]
