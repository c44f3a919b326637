"""Tensors from outside: mapped from their file, compared by name, shape and type, and finite."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from worldmodel.errors import UserError
from worldmodel.files.atomic import replacing
from worldmodel.finite import not_finite

__all__ = [
    "check_finite",
    "first_line",
    "mapped",
    "size",
    "some",
    "stored_names",
    "write_safetensors",
    "write_tensors",
]


def stored_names(file: Path, remedy: str) -> list[str]:
    """Names of the tensors in a safetensors file; as `mapped`."""
    with _opened(file, remedy) as stored:
        return list(stored.keys())


def mapped(file: Path, remedy: str, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Tensors of a safetensors file, mapped from it: none takes memory before it is used.

    Args:
        file: The file.
        remedy: What to do where it is damaged, a sentence for errors.
        names: Which tensors; None for all.

    Raises:
        UserError: The file is missing, damaged or truncated.
    """
    with _opened(file, remedy) as stored:
        return {name: stored.get_tensor(name) for name in names or stored.keys()}


@contextmanager
def _opened(file: Path, remedy: str) -> Generator[Any]:
    try:
        with safe_open(file, framework="pt") as stored:
            yield stored
    except FileNotFoundError as error:
        raise UserError(f"{file} does not exist. {remedy}") from error
    except Exception as error:  # whatever a damaged header makes the library or PyTorch raise
        raise UserError(
            f"{file} is damaged or truncated ({first_line(error)}). {remedy}"
        ) from error


def check_finite(tensors: Mapping[str, Tensor], source: str, remedy: str) -> None:
    """Look at every number, without a copy of them.

    Args:
        tensors: By name.
        source: What to call them in errors.
        remedy: What to do, a sentence for errors.

    Raises:
        UserError: Some are NaN or infinite; names the tensors.
    """
    if wrong := not_finite(tensors):
        raise UserError(
            f"{source}: expected finite numbers, got NaN or infinities in {some(wrong)}. {remedy}"
        )


def write_tensors(path: Path, tensors: Mapping[str, Tensor], **metadata: str) -> None:
    """Write safetensors straight from memory, under a temporary name at first."""
    with replacing(path, size(tensors)) as partial:
        write_safetensors(partial, tensors, **metadata)


def size(tensors: Mapping[str, Tensor]) -> int:
    """Bytes that they take."""
    return sum(tensor.nbytes for tensor in tensors.values())


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], **metadata: str) -> None:
    """Write safetensors straight from memory, readable for whom other files are."""
    # safetensors would make the file readable for its owner only, whatever others are.
    path.unlink(missing_ok=True)
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path, metadata=metadata or None)
    path.chmod(mode)


def some(names: Sequence[str], shown: int = 5) -> str:
    """The first few names, in one line whatever they hold."""
    rest = len(names) - shown
    plain = [name.encode("unicode_escape").decode() for name in names[:shown]]
    clipped = [name if len(name) <= 200 else f"{name[:197]}…" for name in plain]
    return ", ".join(clipped) + (f" and {rest} more" if rest > 0 else "")


def first_line(error: Exception) -> str:
    """What an error of a library says, its first line."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line.rstrip(".") for line in lines if line), type(error).__name__)[:200]
