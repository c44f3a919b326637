"""Frames that a LeRobotDataset keeps as still images, in a column of its parquet files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from worldmodel.data.episode import Frames, Indices
from worldmodel.data.lerobot.columns import unreadable
from worldmodel.errors import UserError
from worldmodel.files.paths import inside

__all__ = ["each_image"]

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")


def each_image(
    path: Path, column: str, rows: Indices, size: tuple[int, int], root: Path, links: bool = False
) -> Iterator[Frames]:
    """Decodes the images of some rows of a parquet, one by one.

    A value is the bytes of a file, or ``bytes`` and ``path`` as `datasets` writes them. One row
    group is in memory at a time.

    Args:
        path: The parquet.
        column: Feature key of the camera.
        rows: Which rows.
        size: Height and width that each image must have.
        root: The dataset's folder, below which a ``path`` must be.
        links: Whether such a file may be a link that leads out of it.

    Yields:
        uint8 ``[height,width,3]``, RGB.

    Raises:
        UserError: A file or an image is missing, damaged, of another size or no 8-bit image.
    """
    try:
        with pq.ParquetFile(path) as file:
            counts = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
            ends, held, values = np.cumsum(counts), -1, None
            for row in rows.tolist():
                group = int(np.searchsorted(ends, row, side="right"))
                if group != held:
                    values = file.read_row_group(group, columns=[column])[column]
                    held = group
                assert values is not None
                value = values[row - int(ends[group]) + counts[group]].as_py()
                yield _decoded(value, f"{path}, column '{column}', row {row}", size, root, links)
    except UserError:
        raise
    except Exception as error:  # of damaged files pyarrow raises errors of many kinds
        raise unreadable(path, error) from error


def _decoded(value: object, source: str, size: tuple[int, int], root: Path, links: bool) -> Frames:
    content = value.get("bytes") if isinstance(value, dict) else value
    if content is None and isinstance(value, dict) and isinstance(value.get("path"), str):
        content = inside(root, value["path"], source, links).read_bytes()
    if not isinstance(content, bytes):
        raise UserError(f"Expected an image in {source}, got none. Convert the dataset again.")
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            # Before it is decoded, since a damaged header may tell of any size.
            if image.size == size[::-1] and image.mode in ("RGB", "RGBA", "P", "L"):
                return np.array(image.convert("RGB"), np.uint8)
            found = f"{image.size[1]} x {image.size[0]} of mode {image.mode}"
    except Exception as error:  # of damaged images Pillow raises errors of many kinds
        raise UserError(
            f"Cannot read the image in {source} ({' '.join(str(error).split())}). Copy the dataset "
            "again."
        ) from error
    raise UserError(
        f"Expected an 8-bit image of {size[0]} x {size[1]} in {source}, as meta/info.json says, "
        f"got {found}. Correct the feature's shape, or choose another camera."
    )
