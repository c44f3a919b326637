"""Which files a dataset may name: those inside its own folder."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from string import Formatter

from worldmodel.errors import UserError

__all__ = ["check_template", "inside"]

_WIDTH = re.compile("(0?[1-9])?d?")
_LONGEST = 1000


def check_template(template: str, fields: Collection[str], source: str) -> None:
    """Checks a path template of a file, so that ``template.format`` can do no more than fill in.

    Args:
        template: For instance ``data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet``.
        fields: The placeholders allowed; all are numbers, but for ``video_key``.
        source: File and key of the template, for errors.

    Raises:
        UserError: It has other placeholders or formats, or is too long.
    """
    names = ", ".join(f"{{{name}}}" for name in fields)
    shown = repr(template if len(template) <= _LONGEST else f"{template[:50]}…")
    refused = UserError(
        f"Expected a path in {source} with no placeholders but {names}, and no format but a width "
        f"of one digit such as :03d, got {shown}. Mend it or copy the dataset again."
    )
    if len(template) > _LONGEST or not template.isprintable():
        raise refused
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise refused from error
    for _, field, width, conversion in parts:
        if field is None:
            continue
        plain = not width if field == "video_key" else _WIDTH.fullmatch(width or "")
        if field not in fields or conversion or not plain:
            raise refused


def inside(root: Path, name: Path | str, source: str, allow_links_outside: bool = False) -> Path:
    """The existing file called ``name`` in the folder ``root``.

    Args:
        root: The dataset's folder.
        name: The file's path, relative to it.
        source: What names the file, for errors.
        allow_links_outside: Whether symbolic links may lead out of the folder.

    Raises:
        UserError: The path leads out of the folder, or there is no such file.
    """
    path = root / name
    try:
        written = Path(os.path.normpath(path))
        if not written.is_relative_to(os.path.normpath(root)):
            raise UserError(
                f"Expected a file inside {root}, got {str(name)!r} in {source}, which leads out of "
                "it. Move the file into the dataset's folder."
            )
        if not path.is_file():
            raise UserError(
                f"Expected the file {path}, which is missing: rerun the collect command that made "
                "it (finished shards are kept), or copy it again."
            )
        real = path.resolve(strict=True)
        if not (allow_links_outside or real.is_relative_to(root.resolve())):
            raise UserError(
                f"Expected a file inside {root}, got {path}, a link that leads to {real}. Copy the "
                "file, or pass allow_links_outside=true if you trust this dataset."
            )
    except UserError:
        raise
    except (OSError, ValueError) as error:  # too long, or with characters that no path has
        raise UserError(
            f"Expected the path of a file in {source}, got {str(name)[:50]!r} ({error})."
        ) from error
    return path
