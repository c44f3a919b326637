"""All frames of a dataset, decoded once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worldmodel.data.cache import computed_once
from worldmodel.data.episode_dataset import EpisodeDataset

__all__ = ["decoded_frames"]


def decoded_frames(dataset: EpisodeDataset, cache_dir: Path | str) -> np.memmap[Any, Any]:
    """The frames of all episodes as a memory map, uint8 ``[F,height,width,3]``.

    Rows are those of ``dataset.actions``. Decoded on the first call and kept in ``cache_dir`` under
    the dataset's fingerprint (27 kB per frame of 96 × 96), so that a changed dataset is decoded
    again. A killed call is continued by the next.

    Raises:
        UserError: A video cannot be read, or the cache cannot be written.
    """

    def fill(array: npt.NDArray[Any], row: int) -> Iterator[int]:
        for frames in dataset.iter_parts(row):
            array[row : row + len(frames)] = frames
            row += len(frames)
            yield row

    path = Path(cache_dir) / f"frames-{dataset.fingerprint()[:20]}.npy"
    return computed_once(
        path, (dataset.num_frames, *dataset.image_size, 3), np.uint8, fill, "decode frames"
    )
